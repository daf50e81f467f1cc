from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.filters.words import instruction_words, n_gram_keys, text_key, words_of


def test_spelling_marks_and_articles_do_not_matter():
    assert instruction_words("Please, make the CAT red!") == ["make", "cat", "red"]
    assert instruction_words("make a cat   red") == ["make", "cat", "red"]


def test_the_order_of_words_matters():
    one, other = "put the cat left of the dog", "put the dog left of the cat"
    assert text_key(instruction_words(one)) != text_key(instruction_words(other))


def test_an_instruction_of_articles_alone_keeps_them():
    assert instruction_words("the") == ["the"]


def test_tags_are_no_words():
    assert words_of("<|bbox_0|> It\u2019s red <|global|> yes") == ["it's", "red", "yes"]


def test_other_scripts_have_words():
    assert words_of("把猫变成红色 背景不变") == ["把猫变成红色", "背景不变"]
    assert words_of("ПОКРАСЬ кота") == ["покрась", "кота"]


def test_runs_of_words_are_as_many_as_fit():
    assert len(n_gram_keys(["a", "b", "c", "d", "e", "f"], 5)) == 2
    assert n_gram_keys(["a"], 5) == set()


@given(st.text())
def test_any_text_has_words_in_small_letters(text):
    assert all(word and word == word.casefold() for word in words_of(text))


def test_where_words_end_matters():
    assert text_key(["ab", "c"]) != text_key(["a", "bc"])


def test_keys_are_the_same_on_every_machine():
    assert text_key(["make", "cat", "red"]) == 3255099168551050170
