"""What estimators are called, in the order of tables and figures; no JAX."""

from collections.abc import Mapping

# The baselines first.
NAMES: Mapping[str, str] = {
  'tokens': 'token length',
  'characters': 'character length',
  'ppl': 'perplexity',
  'nsp': 'negative sequence probability',
  'min_token': 'minimum token probability',
  'mte': 'mean token entropy',
  'p_true': 'P(True)',
  'verbal_1s': 'verbalised confidence, with the answer',
  'verbal_2s': 'verbalised confidence, after it',
  'naive': 'naive entropy',
  'monte_carlo': 'Monte Carlo entropy (ours)',
  'monte_carlo_norm': 'Monte Carlo entropy, by length',
  'probe_rouge': 'probe, ROUGE label',
  'probe_judge': 'probe, judge label',
  'probe_alias': 'probe, alias label',  # ours, where nobody judges
  'se_norm': 'semantic entropy, by length',
  'se_raw': 'semantic entropy',
  'sets': 'number of semantic sets',
  'lexical': 'lexical similarity',
  'eigv': 'eigenvalues of the Laplacian',
  'deg': 'degree matrix',
  'ecc': 'eccentricity',
  'kle_heat': 'kernel language entropy, heat',
  'kle_matern': 'kernel language entropy, Matern',
  'token_sar': 'SAR of tokens',
  'sentence_sar': 'SAR of sentences',
  'sar': 'SAR',
  'cocoa_msp': 'CoCoA, sequence probability',
  'cocoa_ppl': 'CoCoA, perplexity',
  'cocoa_mte': 'CoCoA, mean token entropy',
}
BASELINES = ('tokens', 'characters')
