"""Encodings: marks are read; others are never guessed at, the message shows how each likely one reads."""

import bz2
import gzip
import lzma

import pytest
from files_kit import ROWS, examine, lines, pairs, told

from whichway.errors import UserError

CSV = lines("{},{}", [(f"grüße {t}", y) for t, y in ROWS], "text,label")
READ = sorted((f"grüße {t}", y) for t, y in ROWS)
SENTENCES = {
    "gb18030": ("我的发票有误", "请查询订单快递", "退款还没到账", "包裹丢失了怎么办"),
    "cp932": ("請求書が間違っています", "荷物がまだ届きません", "パスワードを忘れました"),
    "euc_jp": ("請求書が間違っています", "荷物がまだ届きません", "パスワードを忘れました"),
    "cp949": ("청구서가 잘못되었습니다", "소포가 아직 도착하지 않았습니다"),
    "big5": ("我的發票有誤", "請查詢訂單快遞", "退款還沒到帳"),
    "cp1251": ("Мой счёт неверный", "Где моя посылка уже две недели", "Не могу войти в аккаунт"),
    "koi8_r": ("Мой счёт неверный", "Где моя посылка уже две недели", "Не могу войти в аккаунт"),
    "cp1250": ("Moje faktura je špatně účtována", "Kde je můj balíček? Ztratil se", "Nemůžu se přihlásit k účtu"),
    "cp1252": ("Où est mon colis, livré hier?", "Je n'ai pas reçu la facture de décembre", "Passwort geändert"),
    "cp1253": ("Το τιμολόγιό μου είναι λάθος", "Πού είναι το δέμα μου"),
    "cp1254": ("Faturam yanlış geldi lütfen düzeltin", "Kargom hâlâ gelmedi", "Giriş yapamıyorum hesabıma"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_read(encoding, tmp_path):
    assert pairs(examine(tmp_path, "d.csv", CSV.encode(encoding))) == READ


@pytest.mark.parametrize(("end", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_files_are_read(end, pack, tmp_path):
    found = examine(tmp_path, f"d.csv{end}", pack(CSV.encode()))
    assert pairs(found) == READ
    assert found.task.name == "d"
    with pytest.raises(UserError, match="cannot be read"):
        examine(tmp_path, f"broken.csv{end}", b"no archive")


@pytest.mark.parametrize("encoding", SENTENCES)
def test_other_encodings_are_named_and_shown(encoding, tmp_path):
    rows = [(SENTENCES[encoding][n % len(SENTENCES[encoding])] + f" {n * 7919}", y) for n, (_, y) in enumerate(ROWS)]
    data = lines("{};{}", rows, "text;label").encode(encoding)
    with pytest.raises(UserError) as caught:
        examine(tmp_path, "d.csv", data)
    message = str(caught.value)
    assert "--encoding NAME" in message
    assert SENTENCES[encoding][0][:12] in message  # the right reading is among those that are shown
    found = examine(tmp_path, "d.csv", data, encoding=encoding)
    assert pairs(found) == sorted(rows)
    assert encoding in told(found).replace("-", "_")


def test_bytes_that_make_no_sense_are_unknown(tmp_path):
    noise = bytes(range(0x80, 0x100)) * 3
    with pytest.raises(UserError, match=r"name it: --encoding|Name the encoding"):
        examine(tmp_path, "d.csv", b"text,label\n" + noise)


def test_a_wrong_name_is_doubted(tmp_path):
    data = lines("{},{}", [(f"{t} где моя посылка уже", y) for t, y in ROWS], "text,label").encode("cp1251")
    assert "reads oddly as cp1252" in told(examine(tmp_path, "d.csv", data, encoding="cp1252"))
    assert "oddly" not in told(examine(tmp_path, "d.csv", data, encoding="windows-1251"))


def test_two_encodings_in_one_file_are_told(tmp_path):
    data = CSV.encode() + "grüße zuletzt,sales\n".encode("latin-1")
    with pytest.raises(UserError, match=r"d\.csv:62.*several encodings in one file"):
        examine(tmp_path, "d.csv", data)


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (CSV.encode(), "klingon", "no such encoding"),
        (CSV.encode("utf-16"), "cp1252", "byte order mark says utf-16"),
        (CSV.encode("latin-1"), "utf-8", "not utf-8"),
        (lines("{},{}", [(f"請求{t}", y) for t, y in ROWS], "text,label").encode("iso2022_jp"), None, "iso2022_jp"),
    ],
)
def test_names_that_do_not_fit(data, encoding, words, tmp_path):
    with pytest.raises(UserError, match=words):
        examine(tmp_path, "d.csv", data, **({"encoding": encoding} if encoding else {}))
