"""Public judges' questions and answers through the judge of this process, and over HTTP."""

from itertools import islice

import pytest
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.engines.transformers_engine import TransformersEngine
from spatialreward.judges.load import load_judge
from spatialreward.judges.questions import semantic_question
from spatialreward.judges.qwen_vl.answers import Generated
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.importing import PublicJudge, import_protocol
from spatialreward.protocol.prompts import TINY
from spatialreward.records import AnswerForm, JudgementStatus, JudgingOptions, Streams
from tests.data.teacher.teacher_server import TeacherServer, says
from tests.judges.models import image_processor, small_model
from tests.judges.test_reading import Scripted
from tests.protocol.public_checkouts import write_checkout
from tests.protocol.test_public_answers import critique

PICTURE = Image.new("RGB", (64, 64))


@pytest.fixture
def protocol(tmp_path):
    return lambda judge: import_protocol(write_checkout(tmp_path, judge), judge=judge)


def edit(sources=1, **options):
    pictures = [PICTURE] * sources
    return Edit(pictures, PICTURE, "add dog", options=JudgingOptions(**options))


class Recording(Scripted):
    """A scripted engine that remembers what it was asked."""

    def __init__(self, *answers):
        super().__init__(*answers)
        self.asked = []

    def answer(self, questions, measure, more):
        for number, question in enumerate(questions):
            self.asked.append(question)
            yield number, self.answers[number % len(self.answers)]


def written(text):
    return Generated(text, True, ())


def test_firm_edit_asks_twice_about_both_pictures(protocol):
    engine = Recording(written('{"score": [5]}'), written('{"score": [4]}'))
    judge = Judge(engine, protocol(PublicJudge.FIRM_EDIT))
    for streams in (Streams.BOTH, Streams.SEMANTIC):
        (judgement,) = judge.judge([edit(streams=streams)])
        assert judgement.reward == pytest.approx(0.6 + 0.4 * 0.8)
        assert judgement.scores.naturalness is None
    assert [len(question.pictures) for question in engine.asked] == [2, 2, 2, 2]
    assert {question.form for question in engine.asked} == {None}
    assert "does not score quality" in judge.notice


def test_an_edit_that_is_not_asked_about_fails_and_the_others_go_on(protocol):
    engine = Recording(written('{"score": [5]}'), written('{"score": [5]}'))
    judge = Judge(engine, protocol(PublicJudge.FIRM_EDIT), batch_size=2)
    edits = [edit(2), edit(streams=Streams.PERCEPTUAL), edit(2), edit(), edit(2)]
    judged = judge.judge(edits)
    assert [one.failure for one in judged] == [
        *[Failure.BAD_INPUT] * 3,
        None,
        Failure.BAD_INPUT,
    ]
    assert judged[0].reason == "protocol firm-edit: source pictures: expected 1 at most, got 2"
    assert judged[1].reason == "protocol firm-edit has no stream pq"
    assert {one.judged_by for one in judged} == {str(judge.identity)}
    assert len(engine.asked) == 2


def test_nothing_but_refused_edits_is_no_question(protocol):
    judge = Judge(Recording(), protocol(PublicJudge.FIRM_EDIT))
    waiting = iter([edit(2), edit(2)])
    judged = dict(judge.judge_each(lambda room: list(islice(waiting, room))))
    assert {one.failure for one in judged.values()} == {Failure.BAD_INPUT}
    assert sorted(judged) == [0, 1]


def test_a_critique_is_one_question_and_a_reward_of_its_own(protocol):
    engine = Recording(written(critique()))
    judge = Judge(engine, protocol(PublicJudge.RATIONALREWARDS))
    (judgement,) = judge.judge([edit()])
    assert judgement.reward == pytest.approx(((3 + 4 + 2.5) / 3 - 1) / 3)
    (question,) = engine.asked
    assert (question.system, question.in_words) == ("You judge.", True)
    assert judge.identity.aggregation == "mean of aspects"


def test_what_a_format_does_not_have_is_a_failure(protocol):
    judge = Judge(Recording(written(critique())), protocol(PublicJudge.RATIONALREWARDS))
    (judgement,) = judge.judge([edit(scores="soft")])
    assert judgement.failure is Failure.NO_SOFT_SCORE
    cut = Generated(critique()[:200], False, ())
    (judgement,) = Judge(Recording(cut), protocol(PublicJudge.RATIONALREWARDS)).judge([edit()])
    assert judgement.failure is Failure.CUT_OFF


def test_editscore_is_read_as_all_judges_are_but_has_no_regions(protocol):
    text = '{"reasoning": "done", "score": [20, 10]}'
    engine = Recording(Generated(text, True, (20.0, 10.0)))
    judge = Judge(engine, protocol(PublicJudge.EDITSCORE_QWEN3_VL))
    (judgement,) = judge.judge([edit()])
    # The published form: the root of both minima, over 25.
    assert judgement.reward == pytest.approx(0.4)
    assert judgement.answer is AnswerForm.REASONING
    assert engine.asked[0].form is AnswerForm.REASONING
    with_regions = Generated('{"edit_region": [], "reasoning": "", "score": [1, 1]}', True, ())
    (judgement,) = Judge(Recording(with_regions), protocol(PublicJudge.EDITSCORE_QWEN3_VL)).judge(
        [edit()]
    )
    assert judgement.failure is Failure.WRONG_FORM


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl"])
def test_a_model_writes_words_to_their_end(protocol, untrained, kind):
    tokenizer = untrained[1].tokenizer
    asked = protocol(PublicJudge.RATIONALREWARDS).model_copy(
        update={"chat_template": TINY.chat_template}
    )
    processor = Processor(tokenizer, image_processor(), None).following(asked)
    model = small_model(kind, tokenizer)
    engine = TransformersEngine(model, processor, max_answer_tokens=12)
    ((_, generated),) = engine.answer([semantic_question(asked, edit())])
    question = semantic_question(asked, edit())
    output = model.generate(**processor.encode([question]), max_new_tokens=12, do_sample=False)
    length = processor.encode([question])["input_ids"].shape[1]
    assert generated.text == tokenizer.decode(output[0, length:], skip_special_tokens=True)


def test_editscores_template_numbers_the_pictures(protocol, untrained):
    asked = protocol(PublicJudge.EDITSCORE_QWEN2_5_VL)
    processor = Processor(untrained[1].tokenizer, image_processor(), None).following(asked)
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    assert processor.prompt(semantic_question(asked, edit())) == (
        f"<made up>\n<img1>: {picture}<img2>: {picture}a context of 10\ncompare\n"
        "0 to 25, asked: add dog\n<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.fixture
def served(monkeypatch, tmp_path, protocol):
    """Opens a public judge behind an address, which answers always the same."""
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:

        def opened(judge, answer):
            server.plan = lambda asked: answer
            path = tmp_path / "protocol.json"
            path.write_text(protocol(judge).model_dump_json())
            return load_judge(f"openai:some/vl-8b@{server.url}?max_attempts=1", protocol=path)

        opened.server = server
        yield opened


def test_a_critique_comes_over_http_with_a_system_turn(served):
    judge = served(PublicJudge.RATIONALREWARDS, says(critique()))
    (judgement,) = judge.judge([edit()])
    assert judgement.status is JudgementStatus.OK, judgement.reason
    (asked,) = served.server.asked
    assert asked.body["messages"][0] == {"role": "system", "content": "You judge."}
    assert asked.body["max_completion_tokens"] == 2048
    assert "takes 1 source picture" in judge.notice


def test_failures_over_http_are_of_the_closed_list(served):
    judge = served(PublicJudge.RATIONALREWARDS, says(critique(), finish="length"))
    assert judge.judge([edit()])[0].failure is Failure.CUT_OFF
    judge = served(PublicJudge.FIRM_EDIT, says('{"score": [9]}'))
    assert judge.judge([edit()])[0].failure is Failure.SCORE_OUT_OF_RANGE
    assert judge.judge([edit(2)])[0].failure is Failure.BAD_INPUT


def test_score_heads_are_not_behind_an_address(served):
    with pytest.raises(InvalidInputError, match="reads score heads"):
        served(PublicJudge.EDITREWARD, says("x"))
