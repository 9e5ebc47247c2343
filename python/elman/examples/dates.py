# SPDX-License-Identifier: Apache-2.0
"""Dates as people write them, turned into ISO form: an encoder-decoder that reads characters.

'3 May 1998', 'May 3rd, 98', 'Tuesday, 3.5.1998', '3.V.1998' and a dozen more forms become
'1998-05-03'; every fourth text with words in it has a typing error in one of them. The texts are
made with the standard library, all different, and those of the test are none that were learnt
from. An encoder GRU reads the text; its last state is the first one of a decoder GRU, which writes
the answer character by character and at each one looks back at the text (dot-product attention).
In training the decoder sees the right answer so far (teacher forcing), afterwards what it has
written itself.

    python -m elman.examples.dates

writes learning curve, errors by form, examples, and where the decoder looked, as a picture; it
saves the weights and loads them into a new model. The exit code is 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import datetime
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import elman
from elman.examples._common import (
    OTHER,
    OURS,
    Promises,
    options,
    positive,
    pyplot,
    require,
    save_picture,
)

ACCURACY = 0.97  # promised: so many held-out dates right in all ten characters
HELD_OUT = 2000
BATCH = 64
YEARS = (1950, 2049)  # a year of two digits means the one in here
RATE = 1e-2
TYPOS = 0.25
START = "<"  # what the decoder reads first

MONTHS = [datetime.date(2000, month, 1).strftime("%B") for month in range(1, 13)]
DAYS = [datetime.date(2000, 5, day).strftime("%A") for day in range(1, 8)]  # from a Monday
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]


def _ordinal(day: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if 10 <= day <= 20 else ends.get(day % 10, 'th')}"


# Name -> text of a date. A number alone between dots or dashes is day first, with slashes month
# first; otherwise nobody could tell.
FORMS: dict[str, Callable[[datetime.date], str]] = {
    "3 May 1998": lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    "3 May 98": lambda d: f"{d.day} {MONTHS[d.month - 1][:3]} {d.year % 100:02}",
    "May 3rd, 98": lambda d: f"{MONTHS[d.month - 1]} {_ordinal(d.day)}, {d.year % 100:02}",
    "May 3, 1998": lambda d: f"{MONTHS[d.month - 1]} {d.day}, {d.year}",
    "MAY 3 1998": lambda d: f"{MONTHS[d.month - 1][:3].upper()} {d.day} {d.year}",
    "Tuesday, 3.5.1998": lambda d: f"{DAYS[d.weekday()]}, {d.day}.{d.month}.{d.year}",
    "3.5.98": lambda d: f"{d.day}.{d.month}.{d.year % 100:02}",
    "03-05-1998": lambda d: f"{d.day:02}-{d.month:02}-{d.year}",
    "5/3/1998": lambda d: f"{d.month}/{d.day}/{d.year}",
    "1998/05/03": lambda d: f"{d.year}/{d.month:02}/{d.day:02}",
    "19980503": lambda d: f"{d.year}{d.month:02}{d.day:02}",
    "3-May-98": lambda d: f"{d.day}-{MONTHS[d.month - 1][:3]}-{d.year % 100:02}",
    "1998 May 3": lambda d: f"{d.year} {MONTHS[d.month - 1]} {d.day}",
    "3.V.1998": lambda d: f"{d.day}.{ROMAN[d.month - 1]}.{d.year}",
    "the 3rd of May 98": lambda d: (
        f"the {_ordinal(d.day)} of {MONTHS[d.month - 1]} {d.year % 100:02}"
    ),
    "Tue 3rd of May 1998": lambda d: (
        f"{DAYS[d.weekday()][:3]} {_ordinal(d.day)} of {MONTHS[d.month - 1]} {d.year}"
    ),
}

CHARACTERS = sorted(
    {c for text in (*MONTHS, *DAYS, *(m.upper() for m in MONTHS)) for c in text}
    | set("0123456789 ,.-/stndrhofeIVX")
)
IDS = {c: i + 1 for i, c in enumerate(CHARACTERS)}  # 0 is padding
ANSWERS = "0123456789-" + START
LENGTH = 10  # of an ISO date


class Data(NamedTuple):
    """Texts, the forms they are written in, ISO dates."""

    texts: list[str]
    forms: list[str]
    answers: list[str]


def mistyped(text: str, rng: random.Random) -> str:
    """The text with a letter of one of its words left out, doubled, or swapped with the next."""
    places = [i for i in range(len(text) - 1) if (text[i] + text[i + 1]).isalpha()]
    if not places or any(part in ROMAN for part in text.split(".")):
        return text
    i = rng.choice(places)
    kind = rng.randrange(3)
    middle = ("", 2 * text[i], text[i + 1] + text[i])[kind]
    return text[:i] + middle + text[i + (2 if kind == 2 else 1) :]


def make_data(count: int, seed: int) -> Data:
    """That many different texts, all forms equally often."""
    rng = random.Random(seed)
    first, last = datetime.date(YEARS[0], 1, 1), datetime.date(YEARS[1], 12, 31)
    found: dict[str, tuple[str, str]] = {}
    names = list(FORMS)
    while len(found) < count:
        day = first + datetime.timedelta(rng.randint(0, (last - first).days))
        form = names[len(found) % len(names)]
        text = FORMS[form](day)
        text = mistyped(text, rng) if rng.random() < TYPOS else text
        found.setdefault(text, (form, day.isoformat()))
    items = list(found.items())
    rng.shuffle(items)
    return Data(
        [text for text, _ in items],
        [form for _, (form, _) in items],
        [iso for *_, (_, iso) in items],
    )


def encode(texts: Sequence[str]) -> np.ndarray:
    """Texts as ids [N, T], padded in front: the end of the text is close to the answer."""
    return elman.utils.pad_sequences([[IDS[c] for c in text] for text in texts])


def targets(answers: Sequence[str]) -> np.ndarray:
    """ISO dates as ids [N, 10]."""
    return np.array([[ANSWERS.index(c) for c in answer] for answer in answers])


def shifted(ids: np.ndarray) -> np.ndarray:
    """What the decoder reads: the start sign, then the answer without its last character."""
    start = np.full((len(ids), 1), ANSWERS.index(START))
    return np.concatenate([start, ids[:, :-1]], axis=1)


class Models(NamedTuple):
    """One set of layers as three models: to train, to read, and to write a character."""

    training: elman.Model  # text, answer so far -> probabilities of each next character
    encoder: elman.Model  # text -> what was read at each character, state
    decoder: elman.Model  # characters, what was read, state -> probabilities, state, attention


def make_models(units: int, steps: int) -> Models:
    """Embedding -> GRU, whose state starts GRU -> attention -> Dense; to be trained so long."""
    layers = elman.layers
    text = elman.Input((None,), name="text", dtype="int32")
    answer = elman.Input((None,), name="answer", dtype="int32")
    memory = elman.Input((None, units), name="memory")
    state = elman.Input((units,), name="state")

    letters = layers.Embedding(len(CHARACTERS) + 1, 24, mask_zero=True, name="letters")(text)
    reader = layers.GRU(units, return_sequences=True, return_state=True, name="reader")
    read, meaning = reader(letters)
    embedding = layers.Embedding(len(ANSWERS), 16, name="digits")
    writer = layers.GRU(units, return_sequences=True, return_state=True, name="writer")
    score, mix = layers.Dot((2, 2), name="score"), layers.Dot((2, 1), name="mix")
    attend, join = layers.Activation("softmax", name="attend"), layers.Concatenate(name="join")
    think = layers.Dense(units, activation="tanh", name="think")
    guess = layers.Dense(len(ANSWERS), activation="softmax", name="guess")

    def written(seen: Any, before: Any) -> tuple[Any, Any, Any]:
        """The decoder's layers on what was read and the state before."""
        found, after = writer(embedding(answer), initial_state=before)
        attention = attend(score([found, seen]))
        return guess(think(join([found, mix([attention, seen])]))), after, attention

    training = elman.Model([text, answer], written(read, meaning)[0], name="dates")
    encoder = elman.Model(text, [read, meaning], name="encoder")
    decoder = elman.Model([answer, memory, state], list(written(memory, state)), name="decoder")

    rate = elman.optimizers.schedules.CosineDecay(RATE, steps)
    training.compile(
        elman.optimizers.Adam(rate, clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Models(training, encoder, decoder)


def write(models: Models, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Answers [N, 10], and where each character looked [N, 10, T].

    At each step the decoder gets the likeliest character of the step before.
    """
    memory, state = models.encoder.predict(texts, batch_size=500, verbose=0)
    last = np.full((len(texts), 1), ANSWERS.index(START))
    steps, looks = [], []
    for _ in range(LENGTH):
        given = [last, memory, state]
        probabilities, state, attention = models.decoder.predict(given, 500, verbose=0)
        last = probabilities.argmax(axis=-1)
        steps.append(last)
        looks.append(attention)
    return np.concatenate(steps, axis=1), np.concatenate(looks, axis=1)


def spelled(ids: np.ndarray) -> list[str]:
    """Answers as texts."""
    return ["".join(ANSWERS[i] for i in row) for row in ids]


class Result(NamedTuple):
    """What was written for the held-out texts."""

    data: Data
    written: list[str]
    attention: np.ndarray  # [N, 10, T], T as in `encode(data.texts)`

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right in all characters."""
        pairs = zip(self.written, self.data.answers, strict=True)
        return np.array([written == answer for written, answer in pairs])


def plot(history: dict[str, list[float]], result: Result, path: Path) -> Path:
    """Learning curve, errors by form, where the decoder looked, examples right and wrong."""
    plt = pyplot()
    figure, axes = plt.subplots(2, 2, figsize=(14, 10), width_ratios=(3, 4))
    (curve, forms), (look, table) = axes
    epochs = np.arange(1, len(history["loss"]) + 1)
    curve.plot(epochs, history["loss"], color=OTHER, marker="o", label="training")
    curve.plot(epochs, history["val_loss"], color=OURS, marker="o", label="held out")
    curve.set(xlabel="epoch", ylabel="cross-entropy per character (nats, log scale)")
    curve.set(title="Loss, the right answer so far being given", yscale="log", xticks=epochs)
    curve.legend()
    _by_form(forms, result)
    _attention(look, result)
    _examples(table, result)
    return save_picture(plt, figure, path)


def _by_form(axes: Any, result: Result) -> None:
    """Bars of what is wrong and not of what is right: they start at 0, and still differ."""
    names, right = list(FORMS), result.right
    shares = [100 * np.mean(~right[[form == n for form in result.data.forms]]) for n in names]
    bars = axes.barh(names, shares, color=OURS)
    axes.bar_label(bars, [f"{share:.1f}" for share in shares], padding=3, fontsize=9)
    promised = 100 * (1 - ACCURACY)
    axes.axvline(promised, color="grey", linestyle=":")
    axes.set(xlim=(0, 1.15 * max(*shares, promised)))
    axes.set(xlabel="dates wrong (%); dotted: promised at most, over all forms")
    axes.set(title="Held out: by the form of the text")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _attention(axes: Any, result: Result) -> None:
    """Where each character of the longest right answer looked."""
    lengths = [len(text) * ok for text, ok in zip(result.data.texts, result.right, strict=True)]
    row = int(np.argmax(lengths))
    text = result.data.texts[row]
    axes.imshow(result.attention[row][:, -len(text) :], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(text)), text)
    axes.set_yticks(range(LENGTH), result.written[row])
    axes.set(xlabel="text read", ylabel="answer written")
    axes.set(title="Where each written character looked (dark: most)")
    axes.grid(False)


def _examples(axes: Any, result: Result) -> None:
    """A table of texts and answers, the wrong ones in red below."""
    right, data = result.right, result.data
    rows = [*np.flatnonzero(right)[:8], *np.flatnonzero(~right)[:6]]
    cells = [[data.texts[i], result.written[i], data.answers[i]] for i in rows]
    axes.axis("off")
    table = axes.table(
        cells,
        colLabels=["text", "written", "right answer"],
        colWidths=(0.5, 0.24, 0.26),
        cellLoc="left",
        loc="center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1, 1.35)
    for row, index in enumerate(rows, 1):
        for column in range(3):
            colour = "#222222" if right[index] else "firebrick"
            table[row, column].get_text().set_color(colour)
    axes.set_title(f"Held out: {int((~right).sum())} of {len(right)} wrong (red)")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = options("Turn free-form dates into ISO form.", "elman-dates")
    parser.add_argument("--epochs", type=positive, default=6, help="passes over the dates")
    parser.add_argument("--units", type=positive, default=64, help="units of both GRUs")
    parser.add_argument("--dates", type=positive, default=12000, help="dates to learn from")
    return parser.parse_args(argv)


def show(result: Result) -> None:
    """Print some right and some wrong answers."""
    for kept, mark in ((True, ""), (False, "  wrong: ")):
        for row in np.flatnonzero(result.right == kept)[:4]:
            answer = mark and mark + result.data.answers[row]
            print(f"  {result.data.texts[row]:<32} {result.written[row]}{answer}")


def main(argv: Sequence[str] | None = None) -> int:
    """Train, write, save, load, compare, draw; returns the exit code."""
    given = parse(argv)
    if not given.no_plot:
        require("matplotlib", "matplotlib")  # now, not after the training
    everything = make_data(given.dates + HELD_OUT, given.seed)
    test = Data(*(part[:HELD_OUT] for part in everything))
    train = Data(*(part[HELD_OUT:] for part in everything))
    x, y = encode(train.texts), targets(train.answers)
    test_x, test_y = encode(test.texts), targets(test.answers)
    elman.utils.set_random_seed(given.seed)
    steps = given.epochs * -(-len(x) // BATCH)
    models = make_models(given.units, steps)
    models.training.summary()
    print(f"{len(x)} dates to learn from, {HELD_OUT} held out, {len(FORMS)} forms")
    begin = time.perf_counter()
    record = models.training.fit(
        {"text": x, "answer": shifted(y)},
        y,
        batch_size=BATCH,
        epochs=given.epochs,
        validation_data=([test_x, shifted(test_y)], test_y),
        verbose=given.verbose,
    )
    seconds = time.perf_counter() - begin
    ids, attention = write(models, test_x)
    result = Result(test, spelled(ids), attention)

    given.output_dir.mkdir(parents=True, exist_ok=True)
    weights = given.output_dir / "dates.safetensors"
    models.training.save_weights(weights)
    others = make_models(given.units, steps)  # new, with other random weights
    others.training.load_weights(weights)
    same = np.array_equal(ids, write(others, test_x)[0])

    print(f"\nTrained in {seconds:.1f} s with {elman.get_num_threads()} threads. Held out:")
    show(result)
    promises, accuracy = Promises(), float(result.right.mean())
    text = f"{accuracy:.2%} of the held-out dates are right (promised: {ACCURACY:.0%})"
    promises.check(accuracy >= ACCURACY, text)
    promises.check(same, "a new model with the saved weights writes the same dates")
    print(f"  weights: {weights}")
    if not given.no_plot:
        picture = plot(record.history, result, given.output_dir / "dates.png")
        print(f"  picture: {picture}")
    return promises.exit_code


if __name__ == "__main__":
    sys.exit(main())
