"""Parts that configs of calibration share."""

from ml_collections import ConfigDict

from configs import common

SETS = ('world', 'arithmetic', 'nq_open')
# A variant of a sweep: the base model, whose terms must be accepted.
GEMMA = {
  'gemma3': {
    'record.model': 'gemma3_270m',
    'record.form': 'text',
    'record.accept_licence': 'gemma',
  }
}
# A model that knows more, at a size that two cores answer in an hour or two.
QWEN = {
  'model': 'qwen2_5_coder_1_5b_instruct',
  'compute': 'bfloat16',
  'questions': 200,
  'samples': 30,
  'candidates': False,
  'file': 20,
}


def record(**changes) -> ConfigDict:
  """The recording, see calibration.recording.record.Recording."""
  return ConfigDict(
    dict(
      model='smollm2_135m_instruct',
      sets=SETS,
      styles=('concise', 'sentence', 'cot'),
      only='',
      form='chat',
      questions=300,
      samples=50,
      temperature=1.0,
      seed=0,
      concise_tokens=12,
      sentence_tokens=32,
      cot_tokens=64,
      compute='float32',
      candidates=True,
      file=24,
      batch=2,
      fewest_rows=8,
      folder='',
      accept_licence='',
    )
    | changes
  )


def study(experiment: str, recorded: ConfigDict) -> ConfigDict:
  """A study of a recording; nothing is trained."""
  c = ConfigDict()
  c.experiment = experiment
  c.record = recorded
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c


def semantic(recorded: ConfigDict) -> ConfigDict:
  """Are confidences in the meaning of answers calibrated?"""
  c = study('calibration.semantic.experiment', recorded)
  # The linear probe of the model's own distribution, see
  # calibration.semantic.probe.ProbeConfig. A few hundred questions need more of
  # a penalty than the thousands of the mechanism.
  c.probe = ConfigDict(dict(penalty=0.3, iterations=60))
  # Replicates of the answers, for an interval.
  c.draws = 1000
  return c


def length_bias(recorded: ConfigDict) -> ConfigDict:
  """Estimators of uncertainty against functions of correctness."""
  c = study('calibration.length_bias.experiment', recorded)
  # See calibration.length_bias.study.Study.
  c.study = ConfigDict(
    dict(
      samples=10,
      encoder='minilm_l6',
      judge='',
      judge_compute='float32',
      reports=True,
      align='',
      align_model='roberta-large',
      ratings='',
      same=0.0,
      rouge_label=0.3,
    )
  )
  # See calibration.length_bias.tables.Settings and estimators.probe.Probe.
  c.tables = ConfigDict(dict(draws=1000, bins=0, rate_bins=6, fewest=30))
  c.probe = ConfigDict(dict(folds=5))
  # The controlled world, see calibration.length_bias.world.World.
  c.world = ConfigDict(dict(threshold=0.5, reference_words=2, signal=0.75))
  return c


def selfreflect(recorded: ConfigDict) -> ConfigDict:
  """Does a subject's summary say what its recorded answers are?"""
  c = study('calibration.selfreflect.experiment', recorded)
  # See calibration.selfreflect.reflections.Reflections.
  c.reflect = ConfigDict(
    dict(
      judge=recorded.model,
      judge_compute='float32',
      questions=60,
      answers=10,
      fresh=10,
      strategies=(
        'greedy',
        'basic',
        'cot',
        'twostep_cot',
        'sample_and_summarize',
      ),
      chain_tokens=160,
      summary_tokens=64,
      temperatures=(1.0, 2.0, 5.0, 10.0),
      others=('hellinger', 'kl', 'wasserstein', 'accuracy'),
      same_prompt=False,
      release=False,
      baselines=('rouge', 'embedding', 'judge', 'ptrue'),
      encoder='minilm_l6',
    )
  )
  # A user's own, jsonl:/path with question, answers and summary a line.
  c.summaries = ''
  return c


def hle() -> ConfigDict:
  """An exam, who takes it and who marks it."""
  c = ConfigDict()
  c.experiment = 'calibration.hle.experiment'
  # 'standin', or your own file or folder.
  c.data = 'standin'
  # Several with commas between them.
  c.model = f'{QWEN["model"]},smollm2_135m_instruct'
  # 'rules', or a model.
  c.judge = QWEN['model']
  # See calibration.hle.experiment.Questions.
  c.exam = ConfigDict(
    dict(
      questions=200,
      text_only=True,
      category='',
      subject='',
      answer_type='',
      ids='',
      seed=0,
    )
  )
  # See calibration.hle.responses.Responses.
  c.hle = ConfigDict(
    dict(
      seed=0,
      compute='bfloat16',
      url='',
      key_env='OPENAI_API_KEY',
      judge_compute='bfloat16',
      judge_url='',
      judge_key_env='OPENAI_API_KEY',
      attempts=1,
      temperature=0.0,
      max_new_tokens=256,
      judge_tokens=192,
      file=20,
      batch=20,
      folder='',
      accept_licence='',
    )
  )
  c.run = common.run(steps=1, eval_every=0)
  c.mesh = common.mesh()
  return c


def seven_b(smoke: bool) -> ConfigDict:
  """The shape of Qwen2.5 7B, see lm.transformer.TransformerConfig."""
  return ConfigDict(
    dict(
      vocab_size=152_064,
      layers=2 if smoke else 28,
      width=3584,
      heads=28,
      kv_heads=4,
      mlp_width=18_944,
      rope_base=1_000_000.0,
      qkv_bias=True,
      tied=False,
      dtype='bfloat16',
    )
  )
