"""A colour for each estimator, by the keys of `estimators.names`; no JAX.

Lengths are grey: they are the baselines. A family is a hue: the greedy answer's
tokens, what a model says of it, sampled probabilities, probes, meanings, graphs
of similarity, SAR, CoCoA.
"""

from collections.abc import Mapping

from engine.report import figures

_, _ORANGE, _BLUE, _GREEN, _PINK, _SKY, _RED, _YELLOW = figures.COLOURS
GREY = '#8C8C8C'
OF: Mapping[str, str] = {
  'tokens': GREY,
  'characters': '#C8C8C8',
  'ppl': _ORANGE,
  'nsp': _BLUE,
  'min_token': '#6B4C9A',
  'mte': _YELLOW,
  'p_true': '#8C6D31',
  'verbal_1s': '#BD9E39',
  'verbal_2s': '#E7CB94',
  'naive': _SKY,
  'monte_carlo': '#2B7BBA',
  'monte_carlo_norm': '#9ECAE1',
  'probe_rouge': _RED,
  'probe_judge': _PINK,
  'probe_alias': '#E8B8D4',
  'se_norm': _GREEN,
  'se_raw': '#7FD4B5',
  'sets': '#31A354',
  'lexical': '#A1D99B',
  'eigv': '#637939',
  'deg': '#8CA252',
  'ecc': '#B5CF6B',
  'kle_heat': '#CEDB9C',
  'kle_matern': '#DDE8B9',
  'token_sar': '#843C39',
  'sentence_sar': '#AD494A',
  'sar': '#E7969C',
  'cocoa_msp': '#5254A3',
  'cocoa_ppl': '#9C9EDE',
  'cocoa_mte': '#C7C8F0',
}
