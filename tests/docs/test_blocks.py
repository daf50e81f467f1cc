from docs.blocks import read_blocks

PAGE = """# A page

```sh needs=cluster
kubectl get pods
```

1. In a list:

   ```console
   $ one --option \\
       value
   its output
   $ two
   ```

```python
print(1)
```

    indented, no fence
"""


def read(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    return read_blocks(page)


def test_each_fence_has_its_language_options_and_line(tmp_path):
    found = [(block.language, block.options, block.line) for block in read(tmp_path)]
    assert found == [("sh", {"needs": "cluster"}, 4), ("console", {}, 10), ("python", {}, 17)]


def test_commands_go_on_behind_a_backslash_and_output_is_none(tmp_path):
    _, console, _ = read(tmp_path)
    assert list(console.commands()) == [(10, "one --option \\\n    value"), (13, "two")]


def test_comments_and_empty_lines_are_no_commands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\n# a comment\n\ncd x   # then\n```\n")
    (block,) = read_blocks(page)
    assert list(block.commands()) == [(4, "cd x   # then")]
