"""Wording: is something asked, in words that mean one thing, once, and with a way out?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from whichway.lint.edits import each_text, instructing, short, swap, tidy, without
from whichway.lint.registry import Edit, Hit, rule
from whichway.lint.scene import Piece, Scene, sentences
from whichway.nouns import Prompt

_VERBS = (
    "add|analyse|analyze|answer|apply|arrange|assess|assign|brainstorm|build|calculate|categorise|"
    "categorize|check|choose|cite|classify|compare|complete|compose|compute|continue|convert|correct|"
    "count|create|critique|decide|define|describe|detect|determine|draft|draw|edit|estimate|evaluate|"
    "explain|extract|fill|find|fix|format|generate|give|grade|group|help|identify|improve|infer|"
    "interpret|judge|label|list|make|mark|match|name|note|offer|order|output|paraphrase|pick|plan|"
    "predict|prepare|print|produce|propose|provide|put|rank|rate|read|recommend|remove|reply|report|"
    "rephrase|replace|respond|return|review|rewrite|route|say|score|select|send|shorten|show|sketch|"
    "solve|sort|spell|split|state|suggest|summarise|summarize|tag|take|tell|think|transcribe|"
    "translate|turn|use|verify|write"
)
_ASKS = re.compile(
    rf"(?:^|[.:;!?,\n*\-–]\s*|\b(?:then|please|and|to|now|first|next|finally|kindly)\s+)(?:{_VERBS})\b"
    r"|\?|\byour (?:task|job|goal) is\b|\byou (?:will|must|should|are to|need to)\b",
    re.I,
)


@rule(
    "PL001",
    "No explicit task",
    "S",
    "warn",
    why="A prompt that only describes leaves the model to guess what to do; a verb at the start of a sentence says it.",
    source="Google, Prompt engineering whitepaper (use verbs that describe the action); Eainde prompt-lint CLR-002/003",
    suggestion="Say what to do, with a verb: classify, extract, rewrite, answer, ...",
)
def no_task(scene: Scene) -> Iterator[Hit]:
    """Nothing that instructs asks for anything."""
    if scene.instruction_text.strip() and not _ASKS.search(scene.instruction_text):
        piece = scene.rules[0]
        ask = scene.data.practice.ask if scene.data else ""
        edit = instructing(ask) if ask else None
        yield Hit("nothing here says what to do", piece, 0, min(len(piece.text), 80), edit)


_PAIRS: tuple[tuple[str, str, str], ...] = (
    (
        r"\b(?:brief|briefly|concise|concisely|short|terse)\b",
        r"\b(?:detailed|comprehensive|thorough|thoroughly|exhaustive|in[- ]depth|in (?:great )?detail|at length)\b",
        "brief and detailed",
    ),
    (r"\b(?<!in)formal(?:ly)?\b", r"\b(?:casual|casually|informal|informally|slang|chatty)\b", "formal and casual"),
    (
        r"\b(?:only|just|nothing but|valid)\b[^.\n]{0,25}\bJSON\b|\bJSON\b[^.\n]{0,20}\bonly\b",
        r"\bexplain (?:freely|your|why|in your own)|\bin (?:plain )?prose\b|\bfree(?:ly)? (?:form|text)\b",
        "JSON only and free text",
    ),
    (
        r"\b(?:do not|don't|never|without|no) (?:any )?(?:explain|explanation|explanations|explaining|justify|"
        r"reasoning|reasons)\b",
        r"(?<!not )(?<!n't )(?<!never )\bexplain (?:your|why|how|the reason)|\bjustify your\b|\bgive (?:your |the "
        r")?reasons?\b",
        "no explanation and an explanation",
    ),
    (
        r"\b(?:one|a single) word\b",
        r"\b(?:full|complete|two|three|several|few) sentences?\b|\bparagraph\b",
        "one word and sentences",
    ),
    (
        r"\bin (?:a|one|1) sentence\b",
        r"\b(?:two|three|several|multiple|[2-9]) (?:sentences|paragraphs)\b",
        "one sentence and several",
    ),
)
_COMPILED = tuple((re.compile(a, re.I), re.compile(b, re.I), name) for a, b, name in _PAIRS)


@rule(
    "PL006",
    "Contradictory instructions",
    "S",
    "warn",
    why="Of two instructions that exclude each other, models tend to follow the later one, and not always.",
    source="OpenAI, GPT-4.1 prompting guide (conflicting instructions: the one closer to the end wins)",
    suggestion="Keep one of the two, or say when each holds.",
)
def contradiction(scene: Scene) -> Iterator[Hit]:
    """Two instructions that cannot both be followed."""
    for one, other, name in _COMPILED:
        first, second = next(scene.search(one), None), next(scene.search(other), None)
        if first is None or second is None:
            continue
        piece, match = max(
            (first, second), key=lambda piece_and_match: (piece_and_match[0].start, piece_and_match[1].start())
        )
        start, end = sentence_at(piece, match.start())
        edit = without(piece.text[start:end])
        yield Hit(f"asks for {name}: “{first[1].group()}” and “{second[1].group()}”", piece, *match.span(), edit)


_UNBOUNDED = re.compile(
    r"\b(?:as (?:much|many|long)(?: \w+){0,2} as (?:you can|possible|you like|you want|needed)|everything you know|"
    r"in as much detail as(?: you can| possible)?|(?:write|list|say|tell me) all you can|without (?:any )?length "
    r"limit)\b",
    re.I,
)


@rule(
    "PL007",
    "Unbounded length",
    "S",
    "warn",
    why="Without a bound the answer's length, and with it time and price, is up to the model.",
    source="navdeep-G prompt-linter; OpenAI, prompt engineering guide (specify the desired length)",
    suggestion="Give a number: at most 3 sentences, 5 items, 100 words.",
)
def unbounded(scene: Scene) -> Iterator[Hit]:
    """The length is left open."""
    for piece, match in scene.search(_UNBOUNDED):
        yield Hit(f"“{match.group()}” sets no bound", piece, *match.span())


_VAGUE = re.compile(
    r"\b(?:etc\.?|and so on|and so forth|try to|if possible|as appropriate|some kind of|sort of|kind of|somehow|"
    r"a (?:few|bit|couple)(?: of)?|several|various|stuff|fairly|maybe|perhaps|as needed|where applicable|"
    r"or something|things like that|good quality|high[- ]quality|appropriately|properly)(?![\w-])",
    re.I,
)


@rule(
    "PL008",
    "Vague words",
    "S",
    "info",
    why="Words such as “some”, “etc.” or “if possible” let every reader, and every call, fill in something else.",
    source="Eainde prompt-lint CLR-004/007/008; OpenAI, prompt engineering guide (be specific)",
    suggestion="Say how many, which ones, or when.",
)
def vague(scene: Scene) -> Iterator[Hit]:
    """A word that leaves open what is meant."""
    for piece, match in scene.search(_VAGUE):
        if piece.part == "context":
            continue
        word = match.group()
        edit = swap(f"{word} ", "", f'leave out "{word}"') if word.lower() in ("try to", "maybe", "perhaps") else None
        yield Hit(f"“{word}” is vague", piece, *match.span(), edit)


_NEGATIVE = re.compile(r"\W*(?:please )?(?:do not|don['’]t|never|avoid|refrain from|you (?:must|should) not)\b", re.I)
_ALTERNATIVE = re.compile(
    r"\b(?:instead|rather|but|only|unless|except|use|answer|say|write|return|give|reply)\b|;|:", re.I
)


@rule(
    "PL009",
    "Only says what not to do",
    "S",
    "info",
    why="A ban names what is unwanted and leaves open what is wanted; a positive instruction does both.",
    source="Anthropic, prompting best practices (tell the model what to do instead of what not to do); Google "
    "(instructions over constraints)",
    suggestion="Add what to do instead.",
)
def negative_only(scene: Scene) -> Iterator[Hit]:
    """A ban whose neighbours say nothing positive."""
    for piece in scene.rules:
        spans = list(sentences(piece.text))
        for n, (start, end) in enumerate(spans):
            words = piece.text[start:end]
            ban = _NEGATIVE.match(words)
            if not ban or _ALTERNATIVE.search(words[ban.end() :]):
                continue
            near = [piece.text[a:b] for a, b in spans[max(0, n - 1) : n + 2] if (a, b) != (start, end)]
            if not any(_ASKS.search(text) and not _NEGATIVE.match(text) for text in near):
                yield Hit(f"“{short(words)}” does not say what to do instead", piece, start, end)


_SHOUT = re.compile(
    r"\b(?:MUST(?: NOT)?|NEVER|ALWAYS|IMPORTANT|CRITICAL|EXTREMELY|DO NOT|DON'T|ONLY|VERY|WARNING|ATTENTION|PLEASE|"
    r"ABSOLUTELY)\b"
    r"(?: [A-Z]{2,}\b)*|!{2,}"
)
_BRIBE = re.compile(
    r"[^.!?\n]*(?:\btip (?:you )?(?:of )?\$|\$\s?\d+ tip|\b(?:i['’]ll|i will|we will|gonna) tip\b|\bmy (?:job|"
    r"career|life) depends\b|"
    r"\byou(?:['’]ll| will) be (?:fired|punished|penali[sz]ed|shut down|rewarded)\b|\bbad things will happen\b|"
    r"\b(?:kitten|grandmother) (?:will )?(?:die|dies)\b)[^.!?\n]*[.!?]?",
    re.I,
)


@rule(
    "PL010",
    "Capitals, bribes, threats",
    "S,M",
    "info",
    why="Emphasis in capitals, tips and threats is rarely needed; current models then overdo just that one "
    "instruction.",
    source="OpenAI, GPT-4.1 prompting guide (start without all-caps, bribes or tips)",
    suggestion="Say it once in plain words; measure whether emphasis helps.",
)
def shouting(scene: Scene) -> Iterator[Hit]:
    """Capitals used as emphasis, a bribe or a threat."""
    for piece, match in scene.search(_SHOUT):
        word = match.group()
        quiet = "!" if "!" in word else word.lower()
        yield Hit(f"“{word}” shouts", piece, *match.span(), swap(word, quiet))
    for piece, match in scene.search(_BRIBE):
        words = match.group().strip()
        yield Hit("a bribe or a threat", piece, *match.span(), without(words))


_MUST = re.compile(
    r"\b(?:always|must)\s+(?:\w+ly\s+)?(?:be )?(?:answer|give|provide|include|extract|return|call|cite|state|fill|"
    r"mention|quote|use (?:a|the) tool)\w*\b",
    re.I,
)
_ESCAPE = re.compile(
    r"\b(?:if|when|where|unless)\b[^.\n]{0,80}\b(?:missing|unknown|unclear|unsure|absent|no|not|none|cannot|can't|"
    r"empty|lacks?)\b"
    r"|\botherwise\b|\bN/A\b|\bnull\b|\bsay (?:that )?you (?:do not|don't) know\b|\bor (?:\"|“|')?(?:none|unknown|"
    r"null|other)\b|\bunless\b",
    re.I,
)


@rule(
    "PL011",
    "“Always” without a way out",
    "S",
    "warn",
    why="Told that it must give something, a model invents it where the input does not hold it.",
    source="OpenAI, GPT-4.1 prompting guide (common failure modes: hallucinated inputs under “you must”)",
    suggestion="Say what to answer when the information is missing.",
)
def no_way_out(scene: Scene) -> Iterator[Hit]:
    """An absolute demand, and no word about missing information."""
    if scene.closed or _ESCAPE.search(scene.instruction_text):
        return
    for piece, match in scene.search(_MUST):
        edit = instructing("If the information is missing, answer: unknown.")
        yield Hit(f"“{match.group()}”, and nothing is said for missing information", piece, *match.span(), edit)


_FILLER = re.compile(
    r"\b(?:(?:please )?(?:note|bear in mind|keep in mind|be aware|remember) that|it is (?:very )?important (?:to "
    r"note )?that|"
    r"as an ai(?: language model)?,?|i would like you to|i want you to|i need you to|could you (?:please )?|kindly|"
    r"in order to|due to the fact that|at this point in time|needless to say|thank you(?: very much)?(?: in "
    r"advance)?)[ ,]*",
    re.I,
)


@rule(
    "PL043",
    "Filler and repetition",
    "S,M",
    "info",
    why="Words that change nothing are paid for with every call; whether they change something is measured, not felt.",
    source="Eainde prompt-lint TOK-*; SAMMO (Schnabel & Neville 2024, arXiv 2404.02319), prompt compression",
    suggestion="Leave it out if the score stays the same (--measure tells).",
)
def filler(scene: Scene) -> Iterator[Hit]:
    """A filler phrase, or a sentence that stands twice."""
    for piece, match in scene.search(_FILLER):
        words = match.group()
        new = "to " if words.lower().startswith("in order to") else ""
        yield Hit(
            f"“{words.strip()}” is filler", piece, *match.span(), swap(words, new, f'leave out "{words.strip()}"')
        )
    seen: set[str] = set()
    for piece in scene.rules:
        for start, end in sentences(piece.text):
            words = piece.text[start:end]
            key = " ".join(re.findall(r"\w+", words.casefold()))
            if len(key.split()) >= 4 and key in seen:
                yield Hit(f"“{short(words)}” stands twice", piece, start, end, _once(words))
            seen.add(key)


def _once(words: str) -> Edit:
    """Keep the first of equal sentences."""

    def apply(prompt: Prompt) -> Prompt:
        met = 0

        def change(text: str) -> str:
            nonlocal met
            while words in text and met + text.count(words) > 1:
                at = text.rfind(words)
                text = tidy(text[:at] + text[at + len(words) :])
            met += text.count(words)
            return text

        return each_text(prompt, change)

    return Edit(f'say "{short(words)}" once', apply)


def sentence_at(piece: Piece, at: int) -> tuple[int, int]:
    """The sentence around a place."""
    return next(((a, b) for a, b in sentences(piece.text) if a <= at < b), (0, len(piece.text)))
