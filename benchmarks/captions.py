"""What stands below each picture of docs/benchmarks.md."""

CAPTIONS = {
    "heatmap.png": (
        "Width and batch size",
        """\
Time of the fastest peer, whose name stands in the cell, over time of fastmlp, for a network of one
hidden layer. Purple: fastmlp is faster; orange: the peer is.""",
    ),
    "scaling.png": (
        "Growth",
        """\
An epoch's time as one thing grows and the rest stays; Gaussian input, which has no zeros to skip.
Dashed: in proportion to the work (threads: against their number), from each side's own first point.
Below the dashes is better.""",
    ),
    "roofline.png": (
        "Roofline",
        """\
A column for each work, a marker for each side; higher is faster.

- **Operations** are those of the matrix products alone, a multiplication and an addition being two:
  2 (2 n₁n₂ + 3 Σ other layers) for a sample that is trained on, 2 Σ all layers for one that is
  predicted. Activations, norms, losses and updates take time and count for nothing.
- **Zeros.** Four fifths of MNIST's pixels are zero. Peers multiply them, and their operations are
  counted dense. fastmlp skips them. The hollow circle counts it dense all the same: that is what to
  hold against the peers, and it may lie above the peak, since part of what it counts is never done.
  The filled circle counts only the terms whose input is not zero, in rate and intensity.
- **Bytes** are the least that moves if nothing but activations stays in the cache between steps: a
  step reads its rows (MNIST: a byte a pixel), and reads and writes each parameter and each number
  of the optimiser's state once; a prediction reads its rows and the parameters, and writes
  probabilities. Parameters of small networks do stay in the cache: their dots may pass the
  memory's line.
- **Lines** are measured in the same run on all threads: bare FMAs in registers; `a += s * b` on two
  arrays of 256 MiB, and on two of 64 KiB a core.""",
    ),
}
"""File: heading, text."""
