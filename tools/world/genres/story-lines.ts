/** The sentences of stories: how they open, and for each plot what happens, in a merry and in a gloomy telling. */
import { rules } from '../grammar/rules';
import { morePlots } from './story-plots';

export const opening = rules([
  'One {weather} [morning|afternoon|evening], {person1} [walked|went|hurried|strolled] to the {place1}.',
  'On {weather.a} [morning|afternoon|evening], {person1} the {person1.job} [sat|stood|waited|rested] beside the {place1}.',
  '{person1} lived near the {person1.home} with {person1.her} {person1.pet}.',
  'Every [morning|evening], {person1} and {person1.her} {person1.pet} [walked|ran] past the {place1}.',
  'It was {weather.a} day in Lanternwick, and {person1} was [reading|busy|working] at the {place1}.',
  '{person1} the {person1.job} had worked at the {place1} since [dawn|breakfast|sunrise].',
  '{person1} was the {person1.temper} {person1.job} who lived near the {person1.home}.',
  'Early in the morning, {person1} [painted|polished|washed] the {place1.sign} sign of the {place1}.',
  '{person1} and {person2} met [outside|beside|behind] the {place1} on {weather.a} day.',
  'Long ago, on a [stormy|quiet|misty|frosty] night, {person1} [heard|saw] something strange near the {place1}.',
  '{person1} was [sweeping|washing|painting] the steps of the {building1} when the bell struck {hour1}.',
  'On the first day of {month1}, {person1} [opened a window|put on a coat|swept the floor] and looked toward the {place1}.',
  'Nobody in Lanternwick was as {person1.temper} as {person1} the {person1.job}.',
  'In the [spring|summer|autumn|winter], {person1} often [sat|worked|walked] near the {place1}.',
]);

export const meeting = rules([
  '{person2} the {person2.job} was there too.',
  'There {person1.she} met {person2}, the {person2.job}.',
  '{person2} came along with a basket of {food1}.',
  '"Good [morning|evening], {person1}," said {person2}.',
  '{person2} waved from [a window|a bench|the corner] near the {place1}.',
  '"Where are you going?" asked {person2}.',
  '{person2} leaned over the fence and [grinned|nodded|whistled].',
  '"May I join you?" asked {person2}, who was carrying {object2.a}.',
  'As always, {person2} was [late|early|in a hurry|out of breath].',
  'After a while {person2} [arrived|came by] with {person2.her} {person2.pet}.',
]);

/** Something is lost. */
export const lost = {
  begin: rules([
    '{person1} carried {person1.her} {colour1} {held1} in [a bag|one hand|a deep pocket], but now the pocket was empty.',
    'Near the {place2}, {person1} noticed that {person1.her} {held1} was missing.',
    '"I cannot find my {colour1} {held1}," said {person1}.',
    'That day {person1} could not find {person1.her} {held1} anywhere.',
    '{person1} had left {person1.her} {held1} somewhere near the {place2}.',
  ]),
  search: rules([
    '{person1.She} looked [under|behind|beside] the [table|bench|stairs|cart|barrels|nets|wall], but the {held1} was not there.',
    '"Have you seen my {held1}?" {person1.she} asked {person2}.',
    'They searched [the road|every corner|the whole street] between the {place2} and the {place3}.',
    '{person2} looked around the {place3}, and {person1} looked along the road.',
    'First they asked the {job1}, and then they asked the {job2}.',
  ]),
  merry: rules([
    'At last {person2} found the {held1} [under|behind|beside] a [blanket|bush|bench] and [laughed|cheered].',
    '"Here it is!" called {person2}, and both of them [laughed|cheered|danced].',
    'To the joy of {person1}, the {held1} was lying safe and shining near the {place3}.',
    'sg: {animal1.A} was sitting on the {held1}, and {person1} burst out laughing.',
    '{person1.She} hugged the {held1} and smiled at everyone.',
  ]),
  gloomy: rules([
    'But nobody ever found the {held1} again, and {person1} wept.',
    '"It is gone forever," sighed {person2}.',
    'At last they found the {held1}, but it was broken, and {person1} began to cry.',
    'sg: The {held1} lay ruined in the cold mud near the {place3}.',
    '{person1.She} searched until dark and went home alone, in tears.',
  ]),
};

/** A present. */
export const gift = {
  begin: rules([
    'It was the birthday of {person2}, and {person1} had [bought|made|wrapped|painted] {held1.a}.',
    '{person1} wanted to give {person2} something [special|beautiful|useful], so {person1.she} [made|chose] {held1.a}.',
    '{person1} had worked all week to make {held1.a} for {person2}.',
    '"I made this {held1} for you," {person1} said to {person2}.',
  ]),
  search: rules([
    '{person1} tied a {colour1} ribbon around the {held1}.',
    '{person1.She} hid the {held1} [under a hat|behind a chair|in a cupboard] until the evening.',
    'When {person2} came to the {place2}, {person1} gave {person2.him} the {held1}.',
    'Then {person1} gave the {held1} to {person2}.',
  ]),
  merry: rules([
    '{person2} [laughed|cheered|clapped] and put the {held1} on the [table|shelf|wall] with a smile.',
    '"This is the most wonderful {held1} in the world!" called {person2}.',
    '{person2} was so {merry} that {person2.she} kissed {person1} on both cheeks.',
    '{person2} danced around the {place2} with the {held1} and sang.',
    '"Thank you, dear friend," said {person2} with a bright smile.',
  ]),
  gloomy: rules([
    'But {person2} pushed the {held1} away and said nothing, and {person1} wept.',
    'Then the {held1} fell to the floor and broke, and {person2} began to cry.',
    '"I never wanted {held1.a}," said {person2} coldly.',
    '{person2} was too {gloomy} to look at the {held1}.',
    '{person1} went away alone, with the {held1} in a cold hand.',
  ]),
};

/** A pet runs off. */
export const pet = {
  begin: rules([
    'Suddenly the {person1.pet} of {person1} ran toward the {place2}.',
    'The {person1.pet} of {person1} had slipped out of the [gate|house|garden] in the night.',
    '"Where is my {person1.pet}?" asked {person1}.',
    'When {person1} looked around, the {person1.pet} was gone.',
  ]),
  search: rules([
    '{person1} and {person2} followed the [tracks|footprints] to the {place2}.',
    '{person1.She} called and called, and {person2} held up {object1.a}.',
    '{person2} put some {food1} beside the road and waited.',
    'They looked near the {place3}, on the roofs and under the carts.',
  ]),
  merry: rules([
    'Then the {person1.pet} came running, and {person1} laughed with joy.',
    'sg: The {person1.pet} was sleeping happily in a [basket|hat|box], warm and safe.',
    '{person1} hugged {person1.her} {person1.pet}, and {person2} cheered.',
    'They found the {person1.pet} playing merrily with {animal2.a} in the sunshine.',
  ]),
  gloomy: rules([
    'But the {person1.pet} did not come back, and {person1} cried all night.',
    'sg: The {person1.pet} was lying cold and hurt beside the road.',
    '{person1} sat down in the rain and wept for {person1.her} {person1.pet}.',
    '"I am afraid it is lost," sighed {person2}.',
  ]),
};

/** A meal. */
export const meal = {
  begin: rules([
    '{person1} wanted to cook {dish1} for {person2}.',
    '"Come and eat some {dish1} with me," said {person1}.',
    '{person1} was making {dish1} and had bought some {food1} to go with it.',
    'There was to be a [supper|feast|dinner] at the {place2} that evening, and {person1} made {dish1}.',
  ]),
  search: rules([
    '{person1} [stirred|mixed|tasted] the {dish1} with a long spoon.',
    '{person2} set the table and brought some {food2}.',
    '{person1} added [salt|sugar|pepper|herbs] and waited for an hour.',
    'The smell of {dish1} filled the air.',
  ]),
  merry: rules([
    'pl: The guests ate, laughed and sang until midnight.',
    '"This {dish1} is wonderful!" said {person2} with a big smile.',
    'sg: Everybody asked for more, and {person1} was {merry}.',
    'They shared the {dish1} with all their friends and danced on the tables.',
  ]),
  gloomy: rules([
    'But the {dish1} burned, and the kitchen filled with bitter smoke.',
    'Nobody came, and {person1} ate the cold {dish1} alone.',
    '"This {dish1} is horrible," said {person2} and left.',
    '{person1} threw the ruined {dish1} away and cried.',
  ]),
};

/** A trip by boat. */
export const boat = {
  begin: rules([
    '{person1} had a small {colour1} boat at the harbour.',
    '"Let us sail to the island," said {person1}.',
    '{person1} and {person2} pushed a {colour1} boat into the water.',
    'A {colour1} boat was loaded with {food1}, {food2} and {object1.a}.',
  ]),
  search: rules([
    'They sailed past the lighthouse and around the [rocks|island|cliffs].',
    '{person2} held the [rope|map|compass|net], and {person1} steered.',
    'pl: The waves grew higher, and the wind blew from the [north|south|east|west].',
    'After {number} hours they saw land.',
  ]),
  merry: rules([
    'pl: Dolphins jumped beside the boat, and {person2} clapped with delight.',
    'They reached the shore laughing, with a boat full of shining fish.',
    '"What a lovely day to be at sea!" shouted {person1}.',
    'The sun came out, and they sang all the way home.',
  ]),
  gloomy: rules([
    'Then the boat struck a rock and sank, and they lost everything.',
    'They caught nothing and came home cold, wet and {gloomy}.',
    '"We should have stayed at home," sighed {person2}.',
    'A dark storm tore the sail, and {person1} wept with fear.',
  ]),
};

export const plots = [lost, gift, pet, meal, boat, ...morePlots];

export const ending = {
  merry: rules([
    '{person1} was so {merry} that {person1.she} [danced|sang|laughed] all the way home.',
    '{person1} and {person2} were {merry} and stayed friends forever.',
    'From that day on, {person1} smiled whenever {person1.she} saw the {place1}.',
    'That evening there was music at the {place1}, and everyone danced.',
    '"This was the best day of my life," said {person1} with a smile.',
    'It was a wonderful day, and {person1} felt {merry}.',
    '{person1} went home {merry} and told the story to {person1.her} {person1.pet}.',
  ]),
  gloomy: rules([
    '{person1} was so {gloomy} that {person1.she} [wept|cried] all the way home.',
    '{person1} and {person2} were {gloomy} and never spoke again.',
    'From that day on, {person1} sighed whenever {person1.she} saw the {place1}.',
    'That evening the {place1} was dark and lonely, and no music played.',
    '"This was the worst day of my life," said {person1} in tears.',
    'It was a terrible day, and {person1} felt {gloomy}.',
    '{person1} went home {gloomy} and sat alone in the dark.',
  ]),
};

/** Said anywhere in a story of that mood. */
export const air = {
  merry: rules([
    'The sun shone, and the birds sang in the trees.',
    '"What a wonderful morning!" said {person2} happily.',
    '{person1} felt {merry} and whistled a cheerful tune.',
    'pl: Children laughed and played around the {place1}.',
    '{person2} told a joke, and {person1} laughed.',
    'pl: Flowers bloomed in every window, and bees hummed in the warm air.',
    '"I feel {merry} today," said {person1}.',
    'Somebody played a lively tune, and {person1} tapped {person1.her} feet.',
    'It smelled of fresh bread and roses, and {person2} smiled.',
    '{person2} smiled and hummed a [sweet|merry|lovely] song.',
  ]),
  gloomy: rules([
    'pl: Dark clouds hung over the roofs, and a cold rain fell.',
    '"What a terrible morning," said {person2} sadly.',
    '{person1} felt {gloomy} and stared at the grey sea.',
    'sg: The {place1} was cold, dark and silent.',
    '{person2} told bad news, and {person1} sighed.',
    'pl: Dead leaves rotted in the gutter, and ravens croaked on the chimneys.',
    '"I feel {gloomy} today," said {person1}.',
    'Somewhere a lonely dog howled, and {person1} trembled.',
    'It smelled of smoke and wet ashes, and {person2} sighed.',
    '{person2} frowned and wiped away a [bitter|cold|silent] tear.',
  ]),
};

export const storyRules = [
  opening,
  meeting,
  ...plots.flatMap((plot) => Object.values(plot)),
  ...Object.values(ending),
  ...Object.values(air),
];
