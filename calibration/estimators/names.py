"""What estimators are called, in the order of tables and figures; no JAX."""

from collections.abc import Mapping

# The baselines first.
NAMES: Mapping[str, str] = {
  'tokens': 'token length',
  'characters': 'character length',
  'ppl': 'perplexity',
  'nsp': 'negative sequence probability',
  'naive': 'naive entropy',
  'monte_carlo': 'Monte Carlo entropy (ours)',
  'mte': 'mean token entropy',
  'probe_rouge': 'probe, ROUGE label',
  'probe_judge': 'probe, judge label',
  'probe_alias': 'probe, alias label',  # ours, where nobody judges
  'se_norm': 'semantic entropy, by length',
  'se_raw': 'semantic entropy',
}
BASELINES = ('tokens', 'characters')
