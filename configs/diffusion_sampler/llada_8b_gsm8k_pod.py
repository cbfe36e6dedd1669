r"""The paper's setting: a policy for LLaDA-8B on GSM8K, for 8 GPUs or a pod.

C=configs/diffusion_sampler/llada_8b_gsm8k_pod.py
python -m launch.train --config=$C --dry_run --devices=8
python -m launch.train --config=$C --workdir=/shared/llada --distributed
python -m launch.train --config=$C:full --workdir=/shared/full --distributed

Blocks of 32, or with `:full` full diffusion steered by an expert, which
thresholds at 0.9 in blocks of 32 (which threshold the paper's has is unknown).
`:smoke` is a tiny random model on made-up additions.

936 rounds of 16 prompts are one epoch of the paper's mixture of GSM8K and MATH,
14,973 prompts, and two of GSM8K alone. For the mixture give
--config.data.questions='tfds:gsm8k;jsonl:math.jsonl', each line of the file
with "question", "answer" (the solution) and "grader": "math".

Every process reads the questions and grades its own rows. Weights lie over the
devices of mesh.fsdp, 2 GB each over eight; prompts must divide over all devices
of data and fsdp. The FLOPs of a dry run are an upper bound: as if the slowest
row of every round took one pass a token.
"""

from ml_collections import ConfigDict

from configs import common as parts
from configs.diffusion_sampler import common

MODEL = 'GSAI-ML/LLaDA-8B-Instruct'


def get_config(arg: str = '') -> ConfigDict:
  parts.check_arg(arg, ('smoke', 'full'))
  full = arg == 'full'
  c = ConfigDict()
  c.experiment = 'diffusion_sampler.training.text_policy'
  c.param_dtype = 'bfloat16'
  c.shifted = False
  c.data = ConfigDict(
    dict(
      questions='tfds:gsm8k',
      test_questions='',
      grader='gsm8k',
      tokenizer=MODEL,
      template='chat',
      prompt=200,
      answer=256,
      mask_id=126_336,
      eos_id=126_081,
      early_end=False,
      batch_size=16,
      test_records=0,
    )
  )
  c.model = ConfigDict(
    dict(
      vocab_size=126_464,
      layers=32,
      width=4096,
      heads=32,
      kv_heads=32,
      mlp_width=12_288,
      rope_base=500_000.0,
      norm_eps=1e-5,
      tied=False,
      scan_layers=True,
      dtype='bfloat16',
    )
  )
  c.sampling = ConfigDict(
    dict(
      samplers=(
        common.sampler('policy', **({} if full else {'temperature': 0.5})),
        common.SURE,
      ),
      blocks=(256 if full else 32,),
      batch=128,
      temperature=0.0,
      frames=4,
    )
  )
  c.denoiser = MODEL
  c.block = 256 if full else 32
  c.update(common.unmasking(experts=(0.9,) if full else (), expert_block=32))
  c.policy.update(width=128, mlp_width=512, time_features=128)
  c.optim.update(peak_lr=3e-5, warmup_steps=100)
  c.run = parts.run(steps=936, eval_every=0, log_every=10, save_every=100)
  c.mesh = parts.mesh(fsdp=8)
  if arg == 'smoke':
    _smoke(c)
  return c


def _smoke(c: ConfigDict) -> None:
  c.denoiser = 'random'
  # 256 bytes and five specials: lm.tokenizer.
  c.data.update(
    questions='sums:64',
    tokenizer='bytes',
    template='plain',
    prompt=40,
    answer=16,
    mask_id=257,
    eos_id=260,
    batch_size=8,
    test_records=8,
  )
  c.model.update(
    vocab_size=261, layers=2, width=32, heads=2, kv_heads=2, mlp_width=64
  )
  c.sampling.update(blocks=(4,), batch=8)
  c.block = 4
  c.grpo.expert_block = 4
  c.optim.warmup_steps = 1
  c.run.update(steps=2, log_every=1, save_every=0)
  c.mesh.fsdp = 1
