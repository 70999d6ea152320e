"""Specs that are refused, and specs that are taken: both readers of YAML, this one and the command line's, go through them."""

HEAD = "experiment: x\ntask: {kind: translation, dataset: d}\ntrain: {updates: 5}\n"

# Each of these the command line refuses before it asks a coordinator.
REFUSED = [
    "",
    "- a\n",
    "a\n",
    "experiment: x\n---\nexperiment: y\n",
    "task: {kind: translation}\n",
    "experiment: My Grid\n",
    "experiment: [a]\n",
    "experiment: -x\n",
    "experiment: " + "x" * 41 + "\n",
    "~: 3\n",
    "[a]: 3\n",
    "experiment: x\nprobe_only: yes\n",
    "experiment: x\nextends: No One\n",
    HEAD + "priority: 200\n",
    HEAD + "priority: 1.5\n",
    HEAD + "resources: {ranks: {min: 4, max: 2}}\n",
    HEAD + "resources:\n  ranks: {min: 2}\n",
    HEAD + "resources:\n  ranks: {min: 2, most: 4}\n",
    HEAD + "resources:\n  ranks: {min: two, max: 4}\n",
    HEAD + "resources:\n  ranks: {min: 2, max: 2000}\n",
    HEAD + "grid: {resources.ranks: [{min: 1, max: 2}]}\n",
    HEAD + "modle: {dim: 3}\n",
    HEAD + "quite_another: 3\n",
    HEAD + "learning_rate: 3\n",
    HEAD + "model: {dimm: 3}\n",
    HEAD + "model: {something_else: 3}\n",
    HEAD + "model: {warmup: 3}\n",
    HEAD + "model: {dim: 64, dim: 32}\n",
    HEAD + "train: {warmup: 3}\n",
    HEAD + "model:\n  dim: wide\n",
    HEAD + 'model: {dim: "64"}\n',
    HEAD + "model: {dim: [64]}\n",
    HEAD + "model: {dim: {a: 1}}\n",
    HEAD + "model: {dim: ~}\n",
    HEAD + "model: {dim: 64.0}\n",
    HEAD + "model: {dim: 6_4}\n",
    HEAD + "model: {dim: 0x40}\n",
    HEAD + "model: {dim: 99999999999999999999}\n",
    HEAD + "model: {dim: 16385}\n",
    HEAD + "model: 64\n",
    HEAD + "model: {rescale_init: yes}\n",
    HEAD + "model: {dropout: -0.1}\n",
    HEAD + "model: {dropout: 1}\n",
    HEAD + "model: {dropout: .nan}\n",
    HEAD + "model: {dropout: nan}\n",
    HEAD + "model: {dropout: 1e-999}\n",
    HEAD + "model: {share_embeddings: some}\n",
    HEAD + "model: {depth: 18L18L}\n",
    HEAD + "model: {depth: 18L-}\n",
    HEAD + "model: {depth: 99999L}\n",
    HEAD + "model: {scheme_options: {a: [1]}}\n",
    HEAD + "model: {scheme_options: a}\n",
    HEAD + "model: {scheme_options: 'a=1, a=2'}\n",
    HEAD + "model: {adaptive_cutoffs: '20000,x'}\n",
    HEAD + "diagnostics: {location_layers: '0,1'}\n",
    HEAD + "evaluate: [{metric: bleu, split: 'a b'}]\n",
    HEAD + "grid:\n  scheme: [b2t]\n  depth:\n    - 3L-3L\n    - 0L-3L\n",
    HEAD + "grid: {scheme: b2t}\n",
    HEAD + "grid: {scheme: {a: b}}\n",
    HEAD + "grid: {scheme: []}\n",
    HEAD + "grid: {scheme: [b2t, b2t]}\n",
    HEAD + "grid: {scheme: [b2t], model.scheme: [b2t]}\n",
    HEAD + "grid: {train: {warmup: [3]}}\n",
    HEAD + "grid: {shceme: [b2t]}\n",
    HEAD + "grid: {warmup: [3]}\n",
    HEAD + "grid: {seed: [1, -1]}\n",
    HEAD + "grid: {evaluate.beam: [1]}\n",
    HEAD + "grid: {'evaluate[99].beam': [1]}\n",
    HEAD + "evaluate: {metric: bleu}\n",
    HEAD + "evaluate: [{beam: 4}]\n",
    HEAD + "evaluate: [{metric: bleu, baem: 4}]\n",
    HEAD + "evaluate: [" + "{metric: bleu}, " * 17 + "]\n",
    HEAD + "exclude: [{}]\n",
    HEAD + "exclude: [{seed: [1]}]\n",
    HEAD + "include: {scheme: b2t}\n",
    HEAD + "overrides: [{wehn: {seed: 1}}]\n",
    HEAD + "overrides: [{when: {seed: 1}}]\n",
    HEAD + "overrides: [{set: {seed: 1, train.seed: 2}}]\n",
    HEAD + "overrides: [{set: {train: 1}}]\n",
    HEAD + "model: {scheme: b2t}\n",
]

# (spec, --set ...): refused because of the last setting.
GRID = HEAD + "model: {scheme: b2t, depth: 3L-3L}\nevaluate: [{metric: bleu}]\n"
REFUSED_SETTINGS = [
    "train.updates",
    "=3",
    "train.updtaes=3",
    "train.updates=0",
    "train.updates=",
    "train.updates={a: 1}",
    "depth=3",
    "seed=[1, 1]",
    "evaluate[3].beam=2",
    "resources.ranks={min: 3, max: 2}",
]

# These the coordinator refuses; the sentences are its own.
REFUSED_BY_THE_COORDINATOR = [
    (GRID.replace("b2t", "post-ln"), "Do you mean post_ln?"),
    (GRID.replace("metric: bleu", "metric: blue"), "Do you mean bleu?"),
    (GRID.replace("3L-3L", "3L"), "has no encoder, but task translation needs one"),
    (GRID.replace("depth: 3L-3L", "depth: 3L-3L, dim: 6, heads: 4"), "The width must be even and a multiple of the heads"),
]

TAKEN = [
    (GRID, []),
    (
        """experiment: depth-by-scheme
task: {kind: translation, dataset: tiny}
model: {dim: 64, ffn_dim: 256, heads: 4, share_embeddings: all, dropout: 0.1, scheme_options: {}}
train: {updates: 600, max_tokens: 1024, learning_rate: 1e-3, warmup: +400, validate_every: 50, on_divergence: stop}
evaluate: [{metric: bleu, beam: 4, sentences: 20, split: 'test', length_penalties: {test: 0.60}}]
resources: {threads: 1}
diagnostics: {location_layers: " 1, last"}
priority: -5
grid: {scheme: [post_ln, pre_ln, b2t], depth: [3L-3L, 18L-18L], seed: [1], train.learning_rate: [1e-3, 0.0005, 0.00001]}
include: [{scheme: b2t, depth: 50L-50L, model.rescale_init: true}]
exclude: [{scheme: post_ln, train.learning_rate: 1e-5}]
overrides: [{when: {scheme: b2t}, set: {train.warmup: 500}}]
""",
        ["train.updates=20", "depth=18L-18L", "scheme=[post_ln, b2t]", "train.warmup=7", "evaluate[0].beam=2"],
    ),
    (GRID + "grid: {train.learning_rate: [1.25e-06, 2.5E-07, .5, 1., 3e-4]}\n", []),
    (GRID + "diagnostics: &d\n  similarity_every: 5\n", ["resources.ranks={min: 1, max: 2}"]),
]
