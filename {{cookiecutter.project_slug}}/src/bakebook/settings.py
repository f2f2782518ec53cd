"""The settings of the service, from environment variables; docs/serving.md lists them."""

import ipaddress
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Interval
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bakebook.errors import BadInput
from bakebook.paths import ROOT

Bytes = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(1)]
POSTGRESQL = ("postgres", "postgresql")


class Settings(BaseSettings):
    """Where the service listens, what it serves and stores, and how much it accepts."""

    model_config = SettingsConfigDict(env_prefix="NB_", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Interval(ge=0, le=65535)] = 8000
    open: bool = False  # whether callers on this machine need no token
    state: Path = ROOT / "service"  # the folder of the embedded database and of verified models
    database_url: str = Field("", validation_alias="DATABASE_URL")  # empty: SQLite in `state`
    model: str = ""  # models:/NAME@ALIAS; empty: the champion of mlflow.db
    tracking_uri: str = Field("", validation_alias="MLFLOW_TRACKING_URI")
    poll: Annotated[float, Ge(0.1)] = 10.0  # seconds between checks for a new model
    max_body: Bytes = 10_000_000  # of a request that is not a file
    max_file: Bytes = 200_000_000
    max_rows: Count = 1000  # of a request in JSON
    sample: Annotated[float, Interval(ge=0, le=1)] = 0.1  # the share whose labels measure
    rate: Count = 1000  # requests of one caller per second
    webhook: str = ""  # the address to which nb monitor sends an alarm
    log_inputs: bool = False  # whether the log may contain what was asked

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, url: str) -> str:
        if url and url.partition("://")[0] not in ("sqlite", *POSTGRESQL):
            raise ValueError("it must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
        return url

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("it must be an address that begins with http:// or https://")
        return url

    @property
    def database(self) -> str:
        """The address as SQLAlchemy expects it, with the driver that
        is installed for PostgreSQL.
        """
        url = self.database_url or f"sqlite:///{self.state / 'service.db'}"
        scheme, _, rest = url.partition("://")
        return f"postgresql+psycopg://{rest}" if scheme in POSTGRESQL else url

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read(**options: object) -> Settings:
    """The settings of the environment, replaced by options that are not None. Raises BadInput with
    a wrong name.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        variable = name if name.isupper() else f"NB_{name.upper()}"
        where = f"--{name}" if name in given else variable
        raise BadInput(
            f"{where} is wrong: {fault['msg'].removeprefix('Value error, ')}",
            "correct it; docs/serving.md lists the settings",
        ) from None
