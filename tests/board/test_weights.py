"""``board.weights_file``: what is read, and what is refused in which words."""

import pytest

from engine.board.weights import WEIGHT_UNIT, parse_weights
from engine.errors import ConfigError

HEAD = "index,code,weight_pct\n"


def test_a_good_file():
    text = "# of July\n\nweight_pct,index,code\n6.21,VN30,acb\n 9.807512 , hnx30 , PVS\n"
    assert parse_weights(text, "x") == {
        "VN30": {"ACB": 6_210_000},
        "HNX30": {"PVS": 9_807_512},
    }
    assert parse_weights(HEAD + "VN30,ACB,100", "x") == {"VN30": {"ACB": WEIGHT_UNIT}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty: the first line must name index, code, weight_pct"),
        ("index,code\nVN30,ACB\n", "line 1: the first line must name"),
        (HEAD + "VN30,ACB\n", "line 2: 2 cells, 3 are expected"),
        ("#\n" + HEAD + "VN50,ACB,1\n", "line 3: index is 'VN50', allowed: VN30, VN100, HNX30"),
        (HEAD + "VN30,A B,1\n", "line 2: code is 'A B'"),
        (HEAD + "VN30,ABCDEFGHIJKLMNOPQ,1\n", "line 2: code is"),
        (HEAD + "VN30,ACB,1\nVN30,acb,2\n", "line 3: ACB is in VN30 twice"),
        (HEAD + "VN30,ACB,none\n", "line 2: weight_pct is 'none'"),
        (HEAD + "VN30,ACB,NaN\n", "line 2: weight_pct is 'NaN'"),
        (HEAD + "VN30,ACB,inf\n", "line 2: weight_pct is 'inf'"),
        (HEAD + "VN30,ACB,0\n", "line 2: weight_pct is '0'"),
        (HEAD + "VN30,ACB,-3\n", "line 2: weight_pct is '-3'"),
        (HEAD + "VN30,ACB,100.5\n", "line 2: weight_pct is '100.5'"),
        (HEAD + "VN30,ACB,1.0000001\n", "at most 6 decimals"),
        (HEAD + "VN30,ACB,60\nVN30,FPT,42\n", "line 3: the weights of VN30 add up to 102 %"),
    ],
)
def test_a_line_that_cannot_be_is_refused_with_its_number(text, said):
    with pytest.raises(ConfigError) as refused:
        parse_weights(text, "board.weights_file w.csv")
    assert said in str(refused.value)
    assert "board.weights_file w.csv" in str(refused.value)


def test_a_file_as_a_spreadsheet_saves_it():
    assert parse_weights("index,code,weight_pct\r\nVN30,ACB,5\r\n", "x") == {
        "VN30": {"ACB": 5_000_000}
    }
