import re
import subprocess
import sys

from atk_latent.config import places
from atk_latent.methods.atld_differences import DIFFERENCES
from atk_latent.methods.atld_settings import ATLDSettings


def test_every_difference_names_settings_that_exist():
    known = places(ATLDSettings)
    for _, paper, code, settings in DIFFERENCES:
        assert paper and code
        for name in re.split(r",\s*", settings):
            assert name in known or name in ("-", "imt_*"), name


def test_the_list_is_read_without_tensorflow():
    code = (
        "import sys; import atk_latent.methods.atld_differences;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
