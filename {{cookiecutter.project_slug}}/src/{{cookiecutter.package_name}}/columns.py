"""Columns of your own, computed from those of the table: in training, and by the service as well.

    from bakebook.models.columns import column

    @column
    def family_size(siblings: int, parents: int) -> int:
        \"\"\"How many of a family travel together.\"\"\"
        return siblings + parents + 1

The function's name is the column's; its parameters are columns of the table. docs/columns.md shows
names with blanks, missing values, texts, dates, lookups, and means of groups.
"""
