import pytest

from docs.pages import blocks_of, prose

TEXT = """Words.

<!-- not run: no time -->
```sh
a
```

    indented

- a list

  ```python
  b = 1
    # more
  ```

<!-- kept as c.json -->

```json
{}
```
"""


def test_each_block_is_found_with_what_is_said_of_it():
    first, second, third = blocks_of(TEXT, "page.md")
    assert (first.language, first.text, first.reason, str(first)) == ("sh", "a\n", "no time", "page.md:4")
    assert (second.language, second.text, second.note) == ("python", "b = 1\n  # more\n", "")
    assert (third.language, third.text, third.file) == ("json", "{}\n", "c.json")


def test_a_note_is_for_the_block_right_after_it():
    (block,) = blocks_of("<!-- not run: no time -->\nWords.\n```sh\na\n```\n")
    assert block.reason == ""


def test_a_block_without_an_end_is_told():
    with pytest.raises(AssertionError, match=r"page\.md:2: a block without an end"):
        blocks_of("\n```sh\na\n", "page.md")


def test_prose_is_the_rest():
    assert "a" in TEXT.splitlines()
    assert "a" not in prose(TEXT).splitlines()
    assert prose(TEXT).count("\n") == TEXT.count("\n")
    assert "    indented" in prose(TEXT)
