import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evonas.errors import ConfigError
from evonas.problems.split_cnn.architecture import (
    CHANNEL_STEP,
    SupernetConfig,
    architecture,
    canonical,
    cut,
    largest,
    smallest,
    space,
)
from evonas.space import genome_key

CONFIG = SupernetConfig()
SPACE = space(CONFIG)

knobs = st.floats(CONFIG.narrowest, 1.0)


@st.composite
def genomes(draw, like=None):
    """A genome; with ``like``, one that differs from it in a few genes at most."""
    seed = draw(st.integers(0, 2**32 - 1))
    code = SPACE.sample(1, np.random.default_rng(seed))[0]
    if like is not None:
        keep = np.array(draw(st.lists(st.booleans(), min_size=len(SPACE), max_size=len(SPACE))))
        code = np.where(keep, SPACE.encode([like])[0], code)
    return SPACE.decode(code)


def design(genome):
    """What a genome builds, independently of its canonical form."""
    built = architecture(genome, CONFIG)
    where = cut(genome, CONFIG)
    everything = where == 2 + sum(built.depths)
    bits = None if everything else genome["payload_bits"]
    return built.depths, built.kernels, built.expansions, CONFIG.outer(built.width), where, bits


@given(knobs, knobs)
def test_channels_are_aligned_and_grow_with_the_knob(a, b):
    low, high = CONFIG.outer(min(a, b)), CONFIG.outer(max(a, b))
    assert all(x <= y for x, y in zip(low, high, strict=True))
    for count, most in zip(CONFIG.outer(a), CONFIG.channels, strict=True):
        assert count % CHANNEL_STEP == 0
        # Rounding to a multiple moves a count by half a step, snapping the knob by no more.
        assert abs(count - a * most) <= CHANNEL_STEP / 2 + 1e-9


def test_ends_of_the_knob():
    assert CONFIG.outer(1.0) == CONFIG.channels
    assert CONFIG.outer(CONFIG.narrowest) == tuple(c // 4 for c in CONFIG.channels)
    assert CONFIG.snap(1.0) == 1.0
    assert CONFIG.snap(CONFIG.narrowest) == CONFIG.narrowest


@given(knobs)
def test_snapping_keeps_the_channels_and_is_idempotent(width):
    snapped = CONFIG.snap(width)
    assert snapped in CONFIG.widths
    assert CONFIG.snap(snapped) == snapped
    assert CONFIG.outer(snapped) == CONFIG.outer(width)


def test_each_snapped_width_has_channels_of_its_own():
    assert len({CONFIG.outer(width) for width in CONFIG.widths}) == len(CONFIG.widths)
    assert list(CONFIG.widths) == sorted(CONFIG.widths)


@given(st.data())
def test_canonical_genomes_are_equal_exactly_when_the_designs_are(data):
    one = data.draw(genomes())
    other = data.draw(genomes(like=one))
    keys = [genome_key(canonical(genome, CONFIG)) for genome in (one, other)]
    assert (keys[0] == keys[1]) == (design(one) == design(other))


@given(genomes())
def test_the_canonical_form_is_a_valid_genome_of_the_same_design(genome):
    form = canonical(genome, CONFIG)
    assert SPACE.validate(form) == form
    assert canonical(form, CONFIG) == form
    assert design(form) == design(genome)


@given(genomes())
def test_cuts_run_from_the_server_to_the_device(genome):
    cuts = [
        cut({**genome, "split": split, "payload_bits": 8}, CONFIG)
        for split in range(CONFIG.last_split + 1)
    ]
    # Every cut of the sub-network can be reached, in order.
    assert cuts == sorted(cuts)
    assert set(cuts) == set(range(2 + sum(architecture(genome, CONFIG).depths) + 1))


@given(st.integers(8, 224), st.integers(8, 224))
def test_the_last_feature_map_is_small(height, width):
    config = SupernetConfig(image=(3, height, width))
    side = min(height, width)
    for stride in config.strides:
        side = -(-side // stride)
    assert 4 <= side <= 8


def test_largest_and_smallest_are_in_the_space():
    for built in (largest(CONFIG), smallest(CONFIG)):
        genome = {
            **{f"depth{i + 1}": depth for i, depth in enumerate(built.depths)},
            **{f"kernel{i + 1}": kernel for i, kernel in enumerate(built.kernels)},
            **{f"expansion{i + 1}": expansion for i, expansion in enumerate(built.expansions)},
            "width": built.width,
            "split": 0,
            "payload_bits": 8,
        }
        assert architecture(SPACE.validate(genome), CONFIG) == built


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"image": (1, 7, 32)}, "image"),
        ({"image": (0, 32, 32)}, "image"),
        ({"classes": 1}, "classes"),
        ({"channels": ()}, "channels"),
        ({"channels": (64, 90)}, "channels"),
        ({"depths": (0, 3)}, "depths"),
        ({"depths": (3, 2)}, "depths"),
        ({"kernels": (3, 4)}, "kernels"),
        ({"expansions": ()}, "expansions"),
        ({"narrowest": 1.0}, "narrowest"),
        ({"stem": 0}, "stem"),
    ],
)
def test_a_bad_size_is_refused_by_name(change, word):
    with pytest.raises(ConfigError, match=f"^{word} is .*; it must"):
        SupernetConfig(**change)


def test_other_sizes_have_the_genes_of_their_stages():
    config = SupernetConfig(channels=(32, 48), depths=(1, 2), narrowest=0.5)
    names = space(config).names
    assert "depth2" in names
    assert "depth3" not in names
    assert config.last_split == 6
    assert config.outer(0.5) == (16, 24)
