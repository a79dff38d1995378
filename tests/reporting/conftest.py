from tests.result_files import (  # noqa: F401
    audit,
    card,
    comparison,
    evaluation,
    files,
    told_evaluation,
    write,
)
