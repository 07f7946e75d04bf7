# Times PyTorch's BF16 matrix products. Arguments: device, hidden, intermediate, bytes of the L2, rounds. Each line of input: active
# experts and rows of each. A line of output for each: experts, rows, and microseconds of gate_up and of down; or "no", and why.
import sys
try:
    import torch
    torch.cuda.set_device(int(sys.argv[1]))
except Exception as problem:
    print("no", str(problem).split("\n")[0])
    sys.exit()
hidden, intermediate, l2, rounds = map(int, sys.argv[2:6])


def microseconds(sets, product):
    """Median of one product, as a graph of as many as there are weights: they go round the L2, and the host's time does not count."""
    product(0)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(sets):
            product(i)
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]
    graph.replay()
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    torch.cuda.synchronize()
    return sorted(a.elapsed_time(b) for a, b in zip(marks, marks[1:]))[rounds // 2] * 1000 / sets


def product(experts, rows, inputs, outputs):
    """The faster of one batched product and a product for each expert."""
    sets = min(64, 4 * l2 // (2 * experts * inputs * outputs) + 2)
    weights = torch.empty(sets, experts, outputs, inputs, dtype=torch.bfloat16, device="cuda").uniform_(-0.1, 0.1).transpose(2, 3)
    x = torch.empty(experts, rows, inputs, dtype=torch.bfloat16, device="cuda").uniform_(-1, 1)
    return min(
        microseconds(sets, lambda i: torch.bmm(x, weights[i])),
        microseconds(sets, lambda i: [torch.mm(x[e], weights[i, e]) for e in range(experts)]))


for line in sys.stdin:
    experts, rows = map(int, line.split())
    try:
        print(experts, rows, product(experts, rows, hidden, 2 * intermediate), product(experts, rows, intermediate, hidden), flush=True)
    except torch.cuda.OutOfMemoryError:
        pass
