/** The same sentence in English and in Spanish, and short Spanish texts of their own. */
import { rules, type RuleSet } from '../grammar/rules';
import type { Genre } from '../writer';

interface Pair {
  english: string;
  spanish: string;
}

const PAIRS: Pair[] = [
  { english: '{bestia1.The} sleeps in the {lugar1.english}.', spanish: '{bestia1.El} duerme {lugar1.en}.' },
  { english: '{bestia1.The} eats {comida1.english}.', spanish: '{bestia1.El} come {comida1.bare}.' },
  { english: '{person1} buys {comida1.english} in the {lugar1.english}.', spanish: '{person1} compra {comida1.bare} {lugar1.en}.' },
  { english: '{cosael1.The} is {color1.english}.', spanish: '{cosael1.El} es {color1.o}.' },
  { english: '{cosala1.The} is {color1.english}.', spanish: '{cosala1.El} es {color1.a}.' },
  { english: '{bestiael1.The} is {animo1.english}.', spanish: '{bestiael1.El} está {animo1.o}.' },
  { english: '{bestiala1.The} is {animo1.english}.', spanish: '{bestiala1.El} está {animo1.a}.' },
  { english: '{person1} has {bestia1.a} and {cosa1.a}.', spanish: '{person1} tiene {bestia1.un} y {cosa1.un}.' },
  { english: '{person1} goes to the {lugar1.english} with {person2}.', spanish: '{person1} va {lugar1.al} con {person2}.' },
  { english: '{person1} gives {cosa1.a} to {person2}.', spanish: '{person1} da {cosa1.un} a {person2}.' },
  { english: '{woman1} is {animo1.english} today.', spanish: '{woman1} está {animo1.a} hoy.' },
  { english: '{man1} is {animo1.english} today.', spanish: '{man1} está {animo1.o} hoy.' },
  { english: 'Good morning, {person1}.', spanish: 'Buenos días, {person1}.' },
  { english: 'Where is {cosa1.the}?', spanish: '¿Dónde está {cosa1.el}?' },
  { english: 'I want {cosa1.a}, please.', spanish: 'Quiero {cosa1.un}, por favor.' },
  { english: 'The {lugar1.english} is near the {lugar2.english}.', spanish: '{lugar1.El} está cerca {lugar2.del}.' },
];

const spanish = PAIRS.map((pair) => rules([pair.spanish], ['language:spanish']));
const labelled = PAIRS.map((pair) => ({
  english: rules([`English: ${pair.english}`], ['language:english']),
  spanish: rules([`Spanish: ${pair.spanish}`], ['language:spanish']),
}));

const own: RuleSet = rules(
  [
    'Hace [frío|calor|viento|sol] {lugar1.en}.',
    'Por la [mañana|tarde|noche], {person1} camina {lugar1.al}.',
    '{person1} y {person2} comen {comida1.bare} {lugar2.en}.',
    '{person2} canta y {person1} baila.',
    'Todos están muy contentos.',
    'En el mar hay {cosa1.un} y {bestia1.un}.',
    '{person1} busca {cosa1.el}, pero no está {lugar2.en}.',
    'Luego {person1} vuelve a casa con {person2}.',
    'El mar está [tranquilo|azul|oscuro] y la luna es blanca.',
    '{person1} quiere mucho a {bestia1.el}.',
  ],
  ['language:spanish'],
);

export const translations: Genre = {
  name: 'translation',
  about: 'a sentence in English and in Spanish',
  rules: labelled.flatMap((pair) => [pair.english, pair.spanish]),
  write(writer) {
    const { random } = writer;
    for (let i = 1 + random.below(3); i > 0; i--) {
      for (const variable of [...writer.known.keys()]) writer.forget(variable);
      const pair = random.pick(labelled);
      const sides = random.chance(0.5) ? [pair.english, pair.spanish] : [pair.spanish, pair.english];
      for (const side of sides) writer.say(side, { after: '\n' });
    }
    return writer.finish('translation');
  },
};

export const spanishTexts: Genre = {
  name: 'spanish',
  about: 'a text in Spanish',
  rules: [own, ...spanish],
  write(writer) {
    for (let i = 3 + writer.random.below(4); i > 0; i--) writer.say(writer.random.chance(0.5) ? own : writer.random.pick(spanish));
    return writer.finish('spanish', ['language:spanish']);
  },
};
