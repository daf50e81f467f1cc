import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.importing import SOURCE_FILE, import_protocol
from spatialreward.protocol.prompts import Slot

CODE = '''
import a_module_that_is_not_there

raise SystemExit("this code must not run")

SC_PROMPT_TEMPLATE = """Compare. Answer: {{"score" : [a, b]}} <|bbox_{{id}}|>
""" + "Asked: {text}"
PQ_PROMPT: str = (
    'Look. Answer: {{"score": [a, b]}}'
    " and {nothing} is filled in.\\n"
)
'''


def checkout(folder, code):
    path = folder / SOURCE_FILE
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return folder


def test_the_semantic_prompt_is_rendered_and_the_perceptual_one_is_not(tmp_path):
    protocol = import_protocol(checkout(tmp_path, CODE), name="mine")
    assert protocol.name == "mine"
    assert protocol.semantic_parts("add {a} dog") == (
        Slot.SOURCE,
        Slot.EDITED,
        'Compare. Answer: {"score" : [a, b]} <|bbox_{id}|>\nAsked: add {a} dog',
    )
    assert protocol.perceptual_parts() == (
        Slot.EDITED,
        'Look. Answer: {{"score": [a, b]}} and {nothing} is filled in.\n',
    )
    assert protocol.chat_template is None
    assert protocol.max_pixels == 401_408


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def (", "is no Python"),
        ("\0", "is no Python"),
        ("PQ_PROMPT = 'x'", "SC_PROMPT_TEMPLATE: missing"),
        ("SC_PROMPT_TEMPLATE = '{a}'", "PQ_PROMPT: missing"),
        ("SC_PROMPT_TEMPLATE = read('x')", r"py:1: SC_PROMPT_TEMPLATE: expected a text, got \"re"),
        ("SC_PROMPT_TEMPLATE = f'{a}'\nPQ_PROMPT = ''", "expected a text, got"),
        ("SC_PROMPT_TEMPLATE = 'x'\nPQ_PROMPT = ''", r"expected one field, the instruction, got"),
        ("SC_PROMPT_TEMPLATE = '{a}{b}'\nPQ_PROMPT = ''", r"got \['a', 'b'\]"),
        ("SC_PROMPT_TEMPLATE = '{a'\nPQ_PROMPT = ''", "SC_PROMPT_TEMPLATE: is no template"),
        ("SC_PROMPT_TEMPLATE = '{a}{{source}}'\nPQ_PROMPT = ''", "semantic: "),
    ],
)
def test_code_in_another_form_is_named(tmp_path, code, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        import_protocol(checkout(tmp_path, code))
    assert str(tmp_path / SOURCE_FILE) in str(caught.value)


def test_a_folder_without_the_code_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no checkout .* expected .*dataset\.py"):
        import_protocol(tmp_path)
