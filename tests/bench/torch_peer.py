"""torch.nn.Transformer with torch.optim.Adam, answering to the same lines as strata-bench-training."""
import sys
import time

import torch
from torch import nn

torch.set_num_threads(1)
torch.set_flush_denormal(True)
torch.manual_seed(1)


class Peer(nn.Module):
    def __init__(self, scheme, dim, ffn, heads, layers, vocabulary, length):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, dim)
        nn.init.normal_(self.embed.weight, 0, dim**-0.5)
        self.positions = nn.Parameter(torch.randn(length, dim), requires_grad=False)
        self.dropout = nn.Dropout(0.1)
        self.transformer = nn.Transformer(
            dim, heads, layers, layers, ffn, dropout=0.1, batch_first=True, norm_first=scheme == "pre_ln"
        )
        self.mask = nn.Transformer.generate_square_subsequent_mask(length)
        self.scale = dim**0.5

    def forward(self, source, target_input):
        embedded = [self.dropout(self.embed(ids) * self.scale + self.positions) for ids in (source, target_input)]
        hidden = self.transformer(*embedded, tgt_mask=self.mask, tgt_is_causal=True)
        return hidden @ self.embed.weight.t()


def make(scheme, dim, ffn, heads, layers, vocabulary, sentences, length):
    model = Peer(scheme, dim, ffn, heads, layers, vocabulary, length).train()
    source = torch.randint(4, vocabulary, (sentences, length))
    target = torch.randint(4, vocabulary, (sentences, length))
    target_input = torch.cat([torch.full((sentences, 1), 2), target[:, :-1]], 1)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1)
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-4, betas=(0.9, 0.98))

    def step():
        start = time.process_time()
        optimizer.zero_grad()
        logits = model(source, target_input)
        criterion(logits.view(-1, vocabulary), target.view(-1)).backward()
        optimizer.step()
        return time.process_time() - start

    return step, sum(p.numel() for p in model.parameters() if p.requires_grad)


def main():
    step = None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "model":
            step, parameters = make(arguments[0], *map(int, arguments[1:]))
            print("ready", parameters, flush=True)
        elif command == "step":
            print(min(step() for _ in range(int(arguments[0]))), flush=True)


if __name__ == "__main__":
    main()
