"""Tables of a hundred rows with short cells in the code pages of the time before UTF-8."""

from pathlib import Path

import numpy as np
import pytest

from bakebook.tables.detection import detect

JAPANESE = "都市 区分 東京 大阪 京都 名古屋 札幌 福岡 神戸 横浜 男 女"
SIMPLIFIED = "城市 类别 北京 上海 广州 深圳 天津 重庆 成都 武汉 男 女"
TRADITIONAL = "城市 類別 臺北 高雄 臺中 臺南 新竹 基隆 嘉義 花蓮 男 女"
KOREAN = "도시 종류 서울 부산 대구 인천 광주 대전 울산 수원 남 여"
RUSSIAN = "город класс Москва Казань Омск Пермь Уфа Самара Тверь Тула муж жен"
GREEK = "πόλη τύπος Αθήνα Πάτρα Βόλος Χανιά Λάρισα Κως Ρόδος Άργος άνδρας γυναίκα"
HEBREW = "עיר סוג חיפה אילת עכו יפו צפת לוד רמלה נתניה גבר אישה"
ARABIC = "مدينة نوع القاهرة بغداد دمشق بيروت عمان تونس الرباط مكة رجل امرأة"
THAI = "เมือง ประเภท กรุงเทพ เชียงใหม่ ภูเก็ต ขอนแก่น ระยอง ตราด น่าน แพร่ ชาย หญิง"
FRENCH = "ville catégorie Orléans Béziers Nîmes Sète Albi Pau Foix Évreux homme fille"
CZECH = "město třída Plzeň Praha Brno Zlín Jihlava Cheb Kolín Písek muž žena"
TURKISH = "şehir sınıf İstanbul Ankara İzmir Muğla Iğdır Ağrı Kırşehir Uşak erkek kadın"
WORDS = {
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "gbk": SIMPLIFIED,
    "gb18030": SIMPLIFIED,
    "big5": TRADITIONAL,
    "euc_kr": KOREAN,
    "cp949": KOREAN,
    "cp1251": RUSSIAN,
    "koi8_r": RUSSIAN,
    "cp866": RUSSIAN,
    "iso8859_5": RUSSIAN,
    "cp1253": GREEK,
    "iso8859_7": GREEK,
    "cp1255": HEBREW,
    "iso8859_8": HEBREW,
    "cp1256": ARABIC,
    "iso8859_6": ARABIC,
    "cp874": THAI,
    "tis_620": THAI,
    "cp1252": FRENCH,
    "mac_roman": FRENCH,
    "cp437": FRENCH,
    "cp1250": CZECH,
    "cp1254": TURKISH,
}
# Told by the cells alone, where the target's name is plain ASCII
BY_CELLS = ("shift_jis", "gbk", "big5", "euc_kr", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874")


def table(words: list[str], target: str) -> str:
    random = np.random.default_rng(0)
    rows = [f"{random.choice(words[2:10])},{random.integers(100)},{random.choice(words[10:])}" for _ in range(100)]
    return "\n".join([f"{words[0]},x,{target}", *rows]) + "\n"


@pytest.mark.parametrize("encoding", WORDS)
def test_the_name_of_the_target_is_evidence_for_the_encoding(tmp_path: Path, encoding: str) -> None:
    words = WORDS[encoding].split()
    text = table(words, target=words[1])
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    found, _ = detect(tmp_path / "table.csv", target=words[1])
    assert (tmp_path / "table.csv").read_bytes().decode(found.encoding) == text


@pytest.mark.parametrize("encoding", BY_CELLS)
def test_the_cells_alone_tell_the_usual_code_pages(tmp_path: Path, encoding: str) -> None:
    text = table(WORDS[encoding].split(), target="y")
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    found, _ = detect(tmp_path / "table.csv", target="y")
    assert (tmp_path / "table.csv").read_bytes().decode(found.encoding) == text
