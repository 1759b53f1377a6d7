"""Channel ``auction`` against its naive twin, and what must hold whatever happens."""

from hypothesis import given

from engine.schema.codes import Phase
from engine.trackers import auction
from tests.oracle.auction_naive import NaiveAuction
from tests.shard import streams
from tests.shard.folding import fold_groups
from tests.trackers import main_board


@given(main_board.STREAMS)
def test_kernel_says_what_the_naive_twin_says(events):
    groups = main_board.interpret(events)
    main_board.assert_stage_equals_twin(auction.STAGE, NaiveAuction(), groups)


@given(streams.STREAMS)
def test_kernel_says_what_the_naive_twin_says_when_the_feed_has_a_bad_day(events):
    main_board.assert_stage_equals_twin(
        auction.STAGE, NaiveAuction(), main_board.listed(streams.interpret(events))
    )


@given(main_board.STREAMS, main_board.CUTS)
def test_batching_is_invisible(events, cuts):
    main_board.assert_batching_is_invisible(main_board.interpret(events), cuts)


@given(main_board.STREAMS)
def test_the_figures_of_a_row_never_contradict_each_other(events):
    _, emitted = fold_groups(main_board.new_fold(), main_board.interpret(events))
    for row in emitted.get("auction", []):
        assert row["phase"] in (Phase.ATO, Phase.ATC)
        assert 0 in (row["buy_surplus_shares"], row["sell_surplus_shares"])
        assert (row["uncross_volume_shares"] > 0) == (row["uncross_price_e2"] > 0)
        if row["indicative_price_e2"] == 0:
            assert row["indicative_volume_shares"] == 0
            assert row["buy_surplus_shares"] == row["sell_surplus_shares"] == 0
