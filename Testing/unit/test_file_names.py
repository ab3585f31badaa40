"""Names that are no text: ITK ends the whole process over them, so they never reach it."""

import os
import sys

import pytest

from iuinet.errors import UsageError
from iuinet.reading import read_volume


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_refused_before_itk_ends_the_process_over_it(tmp_path):
    old = tmp_path / os.fsdecode(b"M\xfcller.nrrd")  # from a time of other encodings
    old.write_bytes(b"NRRD0004\n")
    with pytest.raises(UsageError, match="UTF-8") as error:
        read_volume(old)
    assert error.value.code == "name-encoding"
