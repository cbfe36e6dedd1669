r"""Every unmasking rule on a denoiser of pointer chains of unknown length.

python -m launch.evaluate --workdir=runs/heuristics_chain \
  --config=configs/diffusion_sampler/heuristics_chain.py \
  --config.denoiser=runs/denoiser_chain
python -m launch.plot --workdir=runs/heuristics_chain
"""

from ml_collections import ConfigDict

from configs.diffusion_sampler import common


def get_config(arg: str = '') -> ConfigDict:
  return common.heuristics(
    arg,
    puzzle='chain(symbols=16, answer=16, short=8)',
    vocab_size=274,
    blocks='2;4;0',
    hard=9,
  )
