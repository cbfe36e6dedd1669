"""Word lists that questions are made of, written by hand for this project.

A word heads one row of a list, so that a row can be held out whole. Behind a
slash stand other answers that are right as well; they are accepted and never
asked about.
"""

# Two words that mean the opposite of each other.
_OPPOSITES = """
  hot cold, big/large small/little/tiny, tall short, wide narrow,
  deep shallow, high low, thick thin, heavy light, strong weak,
  fast/quick slow, early late, old young/new, modern ancient/antique,
  rich/wealthy poor, hard soft/easy, simple complex/complicated,
  difficult effortless/easy, happy sad/unhappy, good bad/evil, best worst,
  better worse, right left/wrong, correct incorrect/wrong, true false/untrue,
  full empty, open closed/shut, clean dirty, wet dry, noisy quiet,
  loud silent/quiet, smooth rough, sharp blunt/dull, bright dim/dark,
  day night, morning evening, summer winter, spring autumn/fall, north south,
  east west, up down, above below, over under, inside outside, in out, on off,
  near far, here there, front back, top bottom, first last, before after,
  always never, often seldom/rarely, all none, everything nothing,
  everyone nobody, everywhere nowhere, more less, most least, many few,
  yes no, with without, for against, towards away, forward backward/backwards,
  man woman, boy girl, husband wife, father mother, son daughter,
  brother sister, uncle aunt, nephew niece, king queen, prince princess,
  actor actress, bull cow, rooster/cock hen, stallion mare,
  grandfather grandmother, male female, masculine feminine, adult child,
  parent offspring/child, teacher student/pupil, master servant/slave,
  doctor patient, friend enemy/foe, ally opponent/adversary, winner loser,
  victory defeat, success failure, win lose, pass fail,
  begin/start end/finish/stop, arrive depart/leave, come go, enter exit,
  give take, buy sell, lend borrow, push pull, lift lower, raise drop,
  rise fall, increase decrease, expand contract/shrink, grow wither/shrink,
  add subtract, multiply divide, ask answer, accept reject/refuse,
  agree disagree, allow/permit forbid/prohibit, approve disapprove, love hate,
  like dislike, praise blame/criticize, reward punish, laugh cry/weep,
  smile frown, remember forget, find misplace/lose, teach learn, speak listen,
  whisper shout, sleep wake, live die, life death, alive dead,
  birth burial/death, build destroy/demolish, create annihilate/destroy,
  make break, fix damage/break, attack defend, advance retreat, attract repel,
  appear disappear/vanish, hide reveal/show, lock unlock, tie untie,
  fold unfold, wrap unwrap, pack unpack, load unload, dress undress,
  cover uncover, connect disconnect, join separate, unite split/divide,
  gather scatter, collect distribute, include exclude, import export,
  inhale exhale, freeze melt/thaw, heat cool, boil chill, float sink,
  ascend descend, climb plunge/descend, stand sit, stretch bend,
  save spend/waste, earn squander/spend, hire fire/dismiss, employ dismiss,
  admit deny, confess conceal/deny, trust distrust, believe doubt,
  obey disobey, respect despise, encourage discourage, help hinder,
  protect endanger, cause effect, question reply/answer, problem solution,
  war peace, heaven hell, god devil, angel demon, saint sinner,
  hero villain/coward, virtue vice, truth lie, fact fiction, joy sorrow,
  pleasure pain, hope despair, courage fear/cowardice, pride shame/humility,
  beauty ugliness, strength weakness, wealth poverty, health illness/sickness,
  wisdom folly, knowledge ignorance, order chaos/disorder, freedom slavery,
  profit loss, asset liability, credit debit, income expense/expenditure,
  supply demand, maximum minimum, majority minority, presence absence,
  floor ceiling, attic basement/cellar, head tail, sunrise sunset, dawn dusk,
  past future, beginning ending, interior exterior, internal external,
  horizontal vertical, positive negative, plus minus, odd even,
  singular plural, synonym antonym, vowel consonant, uppercase lowercase,
  prefix suffix, active passive, optimist pessimist, optimistic pessimistic,
  introvert extrovert, major minor, senior junior, superior inferior,
  public private, urban rural, domestic foreign, native alien/foreign,
  local global, natural artificial, real fake/imaginary,
  genuine counterfeit/fake, raw cooked, fresh stale/rotten, ripe unripe,
  sweet sour/bitter, delicious disgusting, fat slim/thin/skinny,
  beautiful ugly, pretty hideous/ugly, healthy sick/ill/unhealthy,
  sane insane/mad, awake asleep, tired energetic/rested, busy idle/free,
  lazy diligent/hardworking, brave/courageous cowardly, bold timid/shy,
  proud humble/ashamed, arrogant modest/humble, polite rude/impolite,
  kind cruel/unkind/mean, gentle harsh/rough, generous stingy/selfish,
  honest dishonest, loyal disloyal, faithful unfaithful, careful careless,
  clever/smart stupid, wise foolish, calm nervous/excited/agitated,
  serious funny, boring interesting/exciting, famous unknown,
  popular unpopular, lucky unlucky, guilty innocent, legal illegal,
  safe dangerous/unsafe, possible impossible, probable improbable/unlikely,
  likely unlikely, certain uncertain, visible invisible, perfect imperfect,
  complete incomplete, equal unequal, regular irregular, normal abnormal,
  common rare/uncommon, usual unusual, fair unfair, able unable,
  necessary unnecessary, useful useless, hopeful hopeless, harmful harmless,
  painful painless, fearful fearless, expensive cheap/inexpensive,
  temporary permanent, mortal immortal, finite infinite, flexible rigid/stiff,
  tight loose, straight crooked/curved, flat steep/hilly, transparent opaque,
  solid liquid, concave convex, abundant scarce, absent present,
  single married, together apart, ahead behind, slowly quickly, wild tame,
  sober drunk, guest host, employer employee, buyer seller, predator prey,
  attacker defender, captive captor, ancestor descendant, debtor creditor,
  landlord tenant, amateur professional, beginner expert, sunny cloudy,
  flood drought, black white
"""

# A noun and its plural, most of them irregular.
_PLURALS = """
  man men, woman women, child children, person people, foot feet, tooth teeth,
  goose geese, mouse mice, louse lice, ox oxen, knife knives, wife wives,
  life lives, leaf leaves, loaf loaves, half halves, calf calves, wolf wolves,
  shelf shelves, thief thieves, self selves, elf elves, scarf scarves/scarfs,
  hoof hooves/hoofs, wharf wharves/wharfs, sheaf sheaves, sheep sheep,
  deer deer, fish fish/fishes, moose moose, series series, species species,
  aircraft aircraft, salmon salmon, trout trout, bison bison, swine swine,
  offspring offspring, spacecraft spacecraft, shrimp shrimp/shrimps,
  cactus cacti/cactuses, fungus fungi/funguses, nucleus nuclei,
  radius radii/radiuses, stimulus stimuli, alumnus alumni,
  syllabus syllabi/syllabuses, focus foci/focuses, bacillus bacilli,
  locus loci, analysis analyses, basis bases, crisis crises, thesis theses,
  hypothesis hypotheses, oasis oases, diagnosis diagnoses,
  parenthesis parentheses, axis axes, synthesis syntheses, emphasis emphases,
  neurosis neuroses, ellipsis ellipses, phenomenon phenomena,
  criterion criteria, bacterium bacteria, medium media/mediums, datum data,
  curriculum curricula/curriculums, memorandum memoranda/memorandums,
  stratum strata, erratum errata, ovum ova, appendix appendices/appendixes,
  index indices/indexes, matrix matrices/matrixes, vertex vertices/vertexes,
  vortex vortices/vortexes, larva larvae, alga algae,
  antenna antennae/antennas, formula formulas/formulae,
  nebula nebulae/nebulas, vertebra vertebrae/vertebras, potato potatoes,
  tomato tomatoes, hero heroes, echo echoes, veto vetoes, torpedo torpedoes,
  mosquito mosquitoes/mosquitos, volcano volcanoes/volcanos,
  buffalo buffaloes/buffalo/buffalos, piano pianos, photo photos,
  radio radios, studio studios, kangaroo kangaroos, zoo zoos, roof roofs,
  chief chiefs, belief beliefs, cliff cliffs, chef chefs, proof proofs,
  city cities, baby babies, lady ladies, party parties, country countries,
  story stories, fly flies, spy spies, berry berries, army armies, box boxes,
  fox foxes, bus buses, church churches, dish dishes, watch watches,
  witch witches, brush brushes, kiss kisses, quiz quizzes, gas gases/gasses,
  lens lenses, peach peaches, bench benches, day days, key keys,
  monkey monkeys, toy toys, donkey donkeys, valley valleys, chimney chimneys,
  policeman policemen, fireman firemen, gentleman gentlemen, snowman snowmen,
  grandchild grandchildren, housewife housewives, penknife penknives,
  bookshelf bookshelves, werewolf werewolves, eyetooth eyeteeth,
  dormouse dormice, passerby passersby, sister-in-law sisters-in-law,
  mother-in-law mothers-in-law, runner-up runners-up, die dice/dies,
  penny pennies/pence, brother brothers/brethren, plateau plateaus/plateaux,
  bureau bureaus/bureaux
"""

# A verb, its past tense and its past participle.
_VERBS = """
  arise arose arisen, be was/were been, bear bore borne/born,
  beat beat beaten/beat, become became become, begin began begun,
  bend bent bent, bet bet/betted bet/betted, bind bound bound,
  bite bit bitten, bleed bled bled, blow blew blown, break broke broken,
  breed bred bred, bring brought brought, build built built,
  burst burst burst, buy bought bought, cast cast cast, catch caught caught,
  choose chose chosen, cling clung clung, come came come, cost cost cost,
  creep crept crept, cut cut cut, deal dealt dealt, dig dug dug, do did done,
  draw drew drawn, drink drank drunk, drive drove driven, eat ate eaten,
  fall fell fallen, feed fed fed, feel felt felt, fight fought fought,
  find found found, flee fled fled, fling flung flung, fly flew flown,
  forbid forbade/forbad forbidden, forget forgot forgotten,
  forgive forgave forgiven, freeze froze frozen, get got got/gotten,
  give gave given, go went gone, grind ground ground, grow grew grown,
  hang hung/hanged hung/hanged, have had had, hear heard heard,
  hide hid hidden/hid, hit hit hit, hold held held, hurt hurt hurt,
  keep kept kept, know knew known, lay laid laid, lead led led,
  leave left left, lend lent lent, let let let, lie lay/lied lain/lied,
  lose lost lost, make made made, mean meant meant, meet met met,
  mistake mistook mistaken, overcome overcame overcome, pay paid paid,
  put put put, read read read, ride rode ridden, ring rang rung,
  rise rose risen, run ran run, say said said, see saw seen,
  seek sought sought, sell sold sold, send sent sent, set set set,
  shake shook shaken, shed shed shed, shine shone/shined shone/shined,
  shoot shot shot, shrink shrank/shrunk shrunk, shut shut shut,
  sing sang sung, sink sank/sunk sunk, sit sat sat, slay slew slain,
  sleep slept slept, slide slid slid, sling slung slung, speak spoke spoken,
  spend spent spent, spin spun spun, split split split, spread spread spread,
  spring sprang/sprung sprung, stand stood stood, steal stole stolen,
  stick stuck stuck, sting stung stung, stink stank/stunk stunk,
  stride strode stridden, strike struck struck/stricken, string strung strung,
  strive strove/strived striven/strived, swear swore sworn, sweep swept swept,
  swell swelled swollen/swelled, swim swam swum, swing swung swung,
  take took taken, teach taught taught, tear tore torn, tell told told,
  think thought thought, throw threw thrown, thrust thrust thrust,
  tread trod trodden/trod, undergo underwent undergone,
  understand understood understood, undo undid undone,
  wake woke/waked woken/waked, wear wore worn, weave wove/weaved woven/weaved,
  weep wept wept, win won won, wind wound wound, withdraw withdrew withdrawn,
  wring wrung wrung, write wrote written, spit spat/spit spat/spit,
  quit quit/quitted quit/quitted, forsake forsook forsaken,
  foresee foresaw foreseen, outgrow outgrew outgrown,
  overtake overtook overtaken, rewrite rewrote rewritten,
  sew sewed sewn/sewed, show showed shown/showed, sow sowed sown/sowed,
  mow mowed mown/mowed, saw sawed sawn/sawed, prove proved proven/proved,
  withhold withheld withheld, withstand withstood withstood,
  uphold upheld upheld, mislead misled misled,
  kneel knelt/kneeled knelt/kneeled, leap leapt/leaped leapt/leaped,
  dream dreamed/dreamt dreamed/dreamt, burn burned/burnt burned/burnt,
  learn learned/learnt learned/learnt, spell spelled/spelt spelled/spelt,
  spill spilled/spilt spilled/spilt, lean leaned/leant leaned/leant,
  bid bid/bade bid/bidden, dive dived/dove dived,
  light lit/lighted lit/lighted, shear sheared/shore shorn/sheared,
  slit slit slit, wed wed/wedded wed/wedded, awake awoke awoken,
  behold beheld beheld, beset beset beset,
  cleave cleft/cleaved/clove cleft/cleaved/cloven
"""

# What a thing is, and such things. An underscore stands for a space.
_KINDS = """
  animal/mammal: dog cat horse cow pig lion tiger elephant giraffe zebra wolf
    rabbit squirrel monkey camel kangaroo hippopotamus donkey goat leopard,
  bird: sparrow eagle pigeon owl crow swan robin parrot penguin ostrich hawk
    falcon flamingo seagull woodpecker canary raven stork vulture peacock,
  fish: salmon trout tuna cod herring carp sardine pike haddock mackerel
    halibut anchovy eel perch swordfish flounder,
  insect/bug: ant bee wasp mosquito butterfly beetle grasshopper cricket moth
    ladybug dragonfly termite cockroach flea hornet locust,
  fruit: apple banana pear grape peach cherry mango plum strawberry pineapple
    lemon apricot raspberry blueberry kiwi melon papaya fig,
  vegetable: carrot potato cabbage onion spinach broccoli lettuce cauliflower
    celery turnip radish cucumber leek beet asparagus zucchini,
  flower/plant: rose tulip daisy lily orchid daffodil sunflower violet
    carnation marigold iris poppy lavender dandelion chrysanthemum petunia,
  tree/plant: oak maple pine birch willow elm spruce cedar beech poplar
    redwood sycamore cypress ash fir sequoia,
  metal: iron gold silver copper aluminum tin lead zinc nickel platinum
    titanium steel bronze brass mercury uranium,
  color/colour: red blue green yellow purple pink brown black white gray
    turquoise crimson magenta beige maroon,
  tool: hammer screwdriver saw drill wrench pliers chisel shovel rake axe hoe
    crowbar sander spade sickle mallet,
  instrument/musical_instrument: piano guitar violin trumpet flute drum cello
    harp clarinet saxophone trombone banjo oboe tuba harmonica accordion,
  vehicle/transportation: car bus truck train bicycle motorcycle airplane
    helicopter tractor van ambulance tram taxi scooter submarine yacht,
  furniture: chair table sofa bed desk wardrobe cupboard bookcase bench stool
    dresser couch armchair cabinet sideboard nightstand,
  clothing/clothes/garment: shirt trousers jacket coat skirt sweater socks
    gloves scarf hat dress blouse jeans vest pajamas shorts,
  profession/job/occupation: doctor teacher lawyer nurse carpenter plumber
    engineer dentist baker butcher electrician architect accountant pilot
    surgeon tailor,
  sport: football basketball tennis golf hockey baseball volleyball swimming
    boxing rugby badminton wrestling fencing skiing archery,
  drink/beverage: coffee tea milk juice beer wine lemonade whiskey vodka cocoa
    cider champagne soda rum brandy gin,
  body_part: arm leg hand foot nose ear eye knee elbow shoulder finger toe
    neck ankle wrist thumb,
  shape/geometric_shape: circle square triangle rectangle pentagon hexagon
    cube sphere pyramid octagon oval cylinder,
  emotion/feeling: anger joy sadness fear happiness jealousy grief envy
    disgust surprise hatred rage,
  language: English French German Spanish Italian Russian Latin Arabic Greek
    Swedish Hindi Korean,
  weather/precipitation: rain snow hail fog thunderstorm blizzard drizzle
    sleet hurricane tornado frost
"""


def _rows(text: str) -> tuple[tuple[tuple[str, ...], ...], ...]:
  """Rows of words, each with what else may stand in its place."""
  return tuple(
    tuple(tuple(word.split('/')) for word in row.split())
    for row in text.split(',')
  )


OPPOSITES = _rows(_OPPOSITES)
PLURALS = _rows(_PLURALS)
VERBS = _rows(_VERBS)
KINDS = tuple(
  (tuple(kind.strip().replace('_', ' ').split('/')), tuple(things.split()))
  for kind, things in (row.split(':') for row in _KINDS.split(','))
)
