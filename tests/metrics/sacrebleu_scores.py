"""Scores corpora with sacreBLEU: JSON lists of {"hypotheses", "references"} in, {"tokens", "score", ...} out."""

import json
import sys

from sacrebleu.metrics import BLEU


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        corpora = json.load(file)
    results = []
    for corpus in corpora:
        bleu = BLEU()
        score = bleu.corpus_score(corpus["hypotheses"], [corpus["references"]])
        results.append({
            "score": score.score,
            "precisions": score.precisions,
            "brevity_penalty": score.bp,
            "hypothesis_length": score.sys_len,
            "reference_length": score.ref_len,
            "tokens": bleu.tokenizer(corpus["hypotheses"][0].rstrip()),
            "signature": str(bleu.get_signature()),
        })
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(results, file)


main()
