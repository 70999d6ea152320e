"""Scores corpora with rouge-score and jiwer: a JSON list of {"hypotheses", "references"} in, a list of scores out."""

import json
import sys

import jiwer
from rouge_score import rouge_scorer, tokenize

KINDS = ["rouge1", "rouge2", "rougeL"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        corpora = json.load(file)
    scorer = rouge_scorer.RougeScorer(KINDS, use_stemmer=False)
    results = []
    for corpus in corpora:
        lines = [scorer.score(reference, hypothesis)
                 for hypothesis, reference in zip(corpus["hypotheses"], corpus["references"])]
        words = jiwer.process_words(corpus["references"], corpus["hypotheses"])
        result = {kind: 100 * sum(line[kind].fmeasure for line in lines) / len(lines) for kind in KINDS}
        result["wer"] = 100 * words.wer
        result["rouge_tokens"] = tokenize.tokenize(corpus["hypotheses"][0], None)
        result["wer_words"] = words.hypotheses[0]
        results.append(result)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(results, file)


main()
