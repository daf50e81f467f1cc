import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.importing import SOURCE_FILE, PublicJudge, import_protocol
from spatialreward.protocol.prompts import Slot
from spatialreward.records import AnswerForm, Streams
from tests.protocol.public_checkouts import write_checkout

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
        ("SC_PROMPT_TEMPLATE = f'{a}'\nPQ_PROMPT = ''", "expected a text, got '{a}'"),
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
    with pytest.raises(InvalidInputError, match=r"code of firm-edit here, expected .*template\.py"):
        import_protocol(tmp_path, judge=PublicJudge.FIRM_EDIT)


def imported(folder, judge):
    return import_protocol(write_checkout(folder, judge), judge=judge)


def test_editscore_writes_25_where_its_rules_say_10(tmp_path):
    protocol = imported(tmp_path, PublicJudge.EDITSCORE_QWEN3_VL)
    assert protocol.semantic_parts("a {b}") == (
        Slot.SOURCE,
        Slot.EDITED,
        "a context of 10\ncompare\n0 to 25, asked: a {b}\n",
    )
    assert protocol.perceptual_parts() == (Slot.EDITED, "a context of 10\n0 to 25 for looks")
    assert protocol.answer is AnswerForm.REASONING
    assert (protocol.aggregation.form, protocol.max_sources) == ("min", 1)
    assert protocol.capabilities.limits == "predicts no regions, takes 1 source picture"


def test_editscore_on_qwen2_5_vl_numbers_its_pictures(tmp_path):
    template = imported(tmp_path, PublicJudge.EDITSCORE_QWEN2_5_VL).chat_template
    assert template.startswith('{{ "<made up>\\n" }}')
    other = imported(tmp_path / "other", PublicJudge.EDITSCORE_QWEN3_VL)
    assert other.chat_template is None


def test_editreward_asks_two_questions_that_end_in_its_token(tmp_path):
    protocol = imported(tmp_path, PublicJudge.EDITREWARD)
    assert protocol.format is AnswerFormat.HEADS
    pictures = (Slot.SOURCE, Slot.EDITED)
    ending = "\nread here: <|Reward|>\n"
    assert protocol.semantic_parts("dog") == (*pictures, f"\nfollows {{x}}? dog\n{ending}")
    assert protocol.perceptual_parts("dog") == (*pictures, f"\nlooks? dog\n{ending}")
    assert protocol.min_pixels == protocol.max_pixels == 200_704


def test_rationalrewards_has_a_system_turn_and_pictures_within_the_words(tmp_path):
    protocol = imported(tmp_path, PublicJudge.RATIONALREWARDS)
    assert protocol.system == "You judge."
    assert protocol.semantic_parts("dog") == (
        "Asked: dog\nbefore ",
        Slot.SOURCE,
        "\nbehind ",
        Slot.EDITED,
        "\n\n\nguideline {with} braces",
    )
    assert protocol.perceptual == ""
    assert str(protocol.scale) == "1..4"


def test_firm_edit_asks_for_execution_and_consistency(tmp_path):
    protocol = imported(tmp_path, PublicJudge.FIRM_EDIT)
    pictures = (Slot.SOURCE, Slot.EDITED)
    assert protocol.semantic_parts("dog") == (*pictures, "done? dog {1}")
    assert protocol.perceptual_parts("dog") == (*pictures, "kept? dog {2}")
    assert protocol.aggregation.form == "modulated"
    assert protocol.notice.endswith("its scores are 1..5, 0 is 0, shown as 0..25")


def test_viescore_shows_pictures_behind_its_words_and_counts_to_ten(tmp_path):
    protocol = imported(tmp_path, PublicJudge.VIESCORE)
    assert protocol.semantic_parts("a {b}") == (
        "a context of {braces}\ncompare\n0 to 10, asked: a {b}\n",
        Slot.SOURCE,
        Slot.EDITED,
    )
    assert protocol.perceptual_parts() == (
        "a context of {braces}\n0 to 10 for looks",
        Slot.EDITED,
    )
    assert (str(protocol.scale), protocol.aggregation.form) == ("0..10", "min")
    assert protocol.format.questions(Streams.PERCEPTUAL) == (Streams.PERCEPTUAL,)


def test_unifiedreward_edit_fills_in_an_f_string(tmp_path):
    protocol = imported(tmp_path, PublicJudge.UNIFIEDREWARD_EDIT)
    assert protocol.semantic_parts("dog") == (Slot.SOURCE, Slot.EDITED, "compare:dog\n")
    assert protocol.perceptual_parts() == (Slot.EDITED, "look")


@pytest.mark.parametrize("judge", list(PublicJudge)[1:])
def test_a_checkout_of_another_version_is_named(tmp_path, judge):
    folder = write_checkout(tmp_path, judge)
    paths = sorted(path for path in folder.rglob("*.py"))
    for path in paths:
        path.write_text("another = 'version'\n")
    with pytest.raises(InvalidInputError, match="missing, expected") as caught:
        import_protocol(folder, judge=judge)
    assert any(str(path) in str(caught.value) for path in paths)


def test_a_judge_is_found_by_its_files_or_has_to_be_named(tmp_path):
    assert (
        import_protocol(write_checkout(tmp_path / "a", PublicJudge.FIRM_EDIT)).name == "firm-edit"
    )
    both = write_checkout(tmp_path / "b", PublicJudge.EDITSCORE_QWEN3_VL)
    with pytest.raises(InvalidInputError, match="name the judge: one of editscore-qwen2"):
        import_protocol(both)
