from serving.bench.vision import TINY, measure

SMALL = TINY._replace(num_pictures=3, num_pairs=2)


def test_both_towers_agree_and_every_figure_has_its_name():
    figures = {one.name: one for one in measure((SMALL,))}
    for name in (
        "vision/largest_difference_tiny",
        "vision/largest_gradient_difference_tiny",
        "patch_embedding/largest_difference",
    ):
        assert figures[name].reached, name
    for name in (
        "vision/ratio_to_stock_tiny",
        "vision/seconds_tiny",
        "patch_embedding/ratio",
        "patch_embedding/seconds",
    ):
        assert figures[name].value > 0
