/** More plots for stories: a contest, a craft, a letter, a secret, a storm, a lesson, a journey, and an animal in need. */
import { rules } from '../grammar/rules';

const contest = {
  begin: rules([
    'There was a [race|contest|tournament] at the {place2}, and {person1} wanted to win.',
    '"I am faster than you," said {person2} to {person1}.',
    '{person1} had practised for the [race|contest] since the summer.',
    'There was to be a contest at the {place2}, and the prize was {object1.a}.',
  ]),
  search: rules([
    '{person1} and {person2} lined up beside the {place2} and waited for the signal.',
    'pl: Ten runners started, and dust rose behind their feet.',
    '{person2} was ahead at first, but {person1} did not give up.',
    'sg: The {job1} counted to three and waved a {colour1} flag.',
  ]),
  merry: rules([
    '{person1} crossed the line first, and the crowd cheered.',
    'They finished side by side, laughing and out of breath.',
    'sg: The {job1} gave {person1} the prize, and everybody clapped.',
    '{person1} won by a step, and {person2} smiled and shook hands with the proud winner.',
  ]),
  gloomy: rules([
    '{person1} stumbled on a stone and fell, and nobody stopped to help.',
    '{person1} came last and hid in tears behind the {place2}.',
    'sg: The prize went to a cheat, and {person1} sighed.',
    '{person2} lost by one step and wept with shame.',
  ]),
};

const craft = {
  begin: rules([
    '{person1} decided to build a {colour1} {made1} out of wood and wire.',
    '"I will make the finest {made1} in town," said {person1}.',
    '{person1} needed a new {made1} before the winter.',
    '{person1} had {made1.a} that had been cracked for years and wanted to repair it.',
  ]),
  search: rules([
    '{person1} measured, sawed and glued until supper.',
    '{person2} lent {person1.him} some [paint|thread|leather|nails] and good advice.',
    '{person1} worked by the light of {light1.a} until midnight.',
    'It took {number1} days and a great deal of patience.',
  ]),
  merry: rules([
    'When it was finished, the {made1} shone like gold, and {person1} beamed with pride.',
    'sg: The {made1} was perfect, and {person2} clapped with delight.',
    'Everyone at the {place2} admired the splendid {made1}.',
    '{person1} jumped for joy and showed the {made1} to {person2}.',
  ]),
  gloomy: rules([
    'sg: The {made1} fell apart at once, and {person1} burst into tears.',
    '{person1} cut a finger and threw the useless {made1} into the fire.',
    '"It will never work," groaned {person2}.',
    'In the end the {made1} was crooked and ugly, and {person1} despaired.',
  ]),
};

const letter = {
  begin: rules([
    '{person1} found an old letter under the floor of the {building2}.',
    '"Look, an old letter!" whispered {person2}.',
    'sg: An old letter without a name lay on the table that day.',
    '{person1} pulled an old letter out of a dusty book.',
  ]),
  search: rules([
    'sg: The letter spoke of treasure, buried near the {place3}.',
    '{person1} and {person2} took [a spade|a map|a compass] and dug near the {place3}.',
    '{person1} read the letter again and again, until {person2} understood the riddle.',
    '{person2} held up {light1.a}, and {person1} counted the steps.',
  ]),
  merry: rules([
    'sg: A chest full of silver lay in the sand, and they shouted with joy.',
    'They dug up {treasure1.a} of pure gold and danced with delight.',
    '{person1} found the treasure and shared it with the whole happy town.',
    'sg: The treasure was theirs at last, and both of them cheered.',
  ]),
  gloomy: rules([
    'sg: The chest in the sand was empty, and {person1} groaned with disappointment.',
    'Somebody had stolen the treasure, and {person2} wept bitterly.',
    'sg: The letter was a cruel lie, and they trudged home in silence.',
    'sg: The old letter fell into the water, and {person1} cried.',
  ]),
};

const secret = {
  begin: rules([
    'sg: A strange {colour1} light was burning in the window of the {building2}.',
    '"I know a secret about the {building2}," whispered {person2}.',
    '{person1} discovered a hidden door at the back of the {building2}.',
    'Nobody had been inside the {building2} for years, and {person1} was curious.',
  ]),
  search: rules([
    'They crept along the wall and listened at the door.',
    '{person2} lit {light1.a}, and they went down the narrow steps.',
    '{person1} opened the lock with a bent [pin|needle|fork].',
    'Inside stood a dusty chest with a rusty lock.',
  ]),
  merry: rules([
    'It was a surprise party, and all their friends cheered.',
    'Inside they found {treasure1.a} of pure gold and danced with delight.',
    'Behind the door they found a whole room of toys, and they shouted with joy.',
    'sg: A family of kittens was sleeping there, and {person2} giggled with delight.',
  ]),
  gloomy: rules([
    'There was nothing inside but dust, and {person1} groaned with disappointment.',
    'Somebody had stolen everything, and {person2} wept bitterly.',
    'sg: The floor gave way, and {person2} was badly hurt.',
    'sg: The door fell shut behind them, and they sat in the dark and sobbed.',
  ]),
};

const storm = {
  begin: rules([
    'sg: Thunder rolled over the {place2}, and {person1} bolted the door at home.',
    'sg: A great wind came up from the sea that night.',
    '"Listen to that thunder," said {person1} to {person1.her} {person1.pet}.',
    'sg: The lamp in the lighthouse had gone out.',
  ]),
  search: rules([
    '{person1} and {person2} carried blankets and ropes to the {place2}.',
    '{person1} held on to the railing while the water rose.',
    '{person2} shouted for help, but the wind was too loud.',
    'pl: Branches cracked, and tiles flew from the roofs.',
  ]),
  merry: rules([
    'sg: In the morning the sky was clear, and everybody was safe and thankful.',
    'They sat together by the fire, told jokes and drank sweet tea.',
    'sg: A rainbow stretched over the {place2}, and {person2} laughed with relief.',
    '{person1} saved a whole crew that night and was cheered as a hero.',
  ]),
  gloomy: rules([
    'In the morning the {place2} lay in ruins, and {person1} mourned.',
    'sg: A flood swept away the {held1} that {person1} treasured most.',
    'Two boats were lost that night, and the whole town grieved.',
    '{person2} shivered in the dark and sobbed with fear.',
  ]),
};

const lesson = {
  begin: rules([
    '{person2} promised to teach {person1} how to [swim|dance|juggle|whistle|skate].',
    '{person1} had never learned to [read|swim|count|dance].',
    '"Can you teach me how to [swim|read|juggle]?" {person1} asked {person2}.',
    'pl: Lessons at the {place2} began at {hour1} sharp.',
  ]),
  search: rules([
    'They practised every afternoon for {number1} weeks.',
    '{person1} tried again and again, slowly and carefully.',
    '"Keep your back straight and breathe," said {person2}.',
    'sg: The first attempt was clumsy, and the second was not much better.',
  ]),
  merry: rules([
    'Then, all at once, {person1} could do it, and both of them whooped.',
    '{person1} learned so quickly that {person2} grinned with pride.',
    '"You are a natural!" laughed {person2}.',
    'pl: Their friends came to watch, and the applause was tremendous.',
  ]),
  gloomy: rules([
    '{person1} failed once more and hung {person1.her} head in shame.',
    '"You will never learn," snapped {person2}.',
    '{person1} gave up and kicked a stone down the lonely street.',
    'pl: The other pupils sneered, and {person1} blushed and wept.',
  ]),
};

const journey = {
  begin: rules([
    '{person1} packed {object1.a}, some {food1} and a warm coat for a long journey.',
    '"I am leaving for the mountains," {person1} told {person2}.',
    'A letter called {person1} to a distant village beyond the hills.',
    '{person1} and {person2} set out before sunrise with {animal1.a}.',
  ]),
  search: rules([
    'They followed the river through the forest and over a stone bridge.',
    'sg: The path was steep, and {person1} had to lean on a stick.',
    'At noon they rested under an oak and shared some {food2}.',
    'They asked a passing {job1} for the shortest way.',
    'After {number1} miles the road divided, and they turned [left|right].',
  ]),
  merry: rules([
    'From the top they could see the whole coast, and {person1} yelled with joy.',
    'pl: Kind villagers welcomed them with flowers and music.',
    '{person2} sang cheerful songs, and the miles flew by.',
    'They arrived just in time for the harvest festival and danced until dawn.',
  ]),
  gloomy: rules([
    'They lost their way in the dark forest and shivered until dawn.',
    'sg: The village was deserted, and {person1} sank down in despair.',
    '{person2} fell ill on the road, and they had to turn back in sorrow.',
    'pl: Thieves took their bags, and they limped home hungry and bitter.',
  ]),
};

const rescue = {
  begin: rules([
    '{person1} heard the faint cry of {animal1.a} from the roof of the {building2}.',
    'sg: A young {animal1} was trapped behind the {place2}.',
    '{person2} came running with news of {animal1.a} in trouble.',
    'pl: Footprints of a lame {animal1} led from the {place1} to the {place2}.',
  ]),
  search: rules([
    '{person1} climbed up carefully while {person2} held a ladder.',
    'They lowered a [rope|basket|net|blanket] and waited without a sound.',
    '{person1} offered the {animal1} a little {food1}.',
    '{person2} wrapped the trembling {animal1} in a scarf.',
  ]),
  merry: rules([
    'sg: The {animal1} sat down on the knees of {person1}, and everyone giggled.',
    'Soon the {animal1} was healthy and playful again, to the delight of {person2}.',
    '"You saved it!" cheered {person2}.',
    'sg: The grateful {animal1} followed {person1} home and became a faithful friend.',
  ]),
  gloomy: rules([
    'But the {animal1} was too weak, and it died before morning.',
    'They came too late, and {person1} buried the poor {animal1} in silence.',
    'sg: The frightened {animal1} bit {person1} and vanished into the gloom.',
    '"We could not save it," sobbed {person2}.',
  ]),
};

export const morePlots = [contest, craft, letter, secret, storm, lesson, journey, rescue];
