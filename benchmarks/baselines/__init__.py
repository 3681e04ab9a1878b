"""Others' systems on the same slices: `make bench-baselines`, or `python -m benchmarks.baselines`.

nnU-Net v2's 2D network runs in an environment of its own (`requirements.txt`), the published
networks are written again in Keras from their description. Weights are random: speed does not
depend on what a network has learnt.
"""
