/** The second language of the harbour: Spanish nouns with their gender, and colours that agree with it. */
import { forms, type Word } from '../grammar/template';

const MASCULINE = `
cat gato; dog perro; parrot loro; rabbit conejo; horse caballo; owl búho; bread pan; cheese queso; rice arroz; cake pastel;
book libro; ring anillo; map mapa; drum tambor; hat sombrero; clock reloj; mirror espejo; boat barco`;
const FEMININE = `
goat cabra; goose oca; hen gallina; frog rana; turtle tortuga; pigeon paloma; soup sopa; honey miel; salad ensalada; jam mermelada;
lantern linterna; candle vela; bell campana; key llave; bottle botella; box caja; flute flauta; coin moneda`;
const PLACES = `
el market mercado; el harbour puerto; el lighthouse faro; la bakery panadería; el mill molino; la school escuela; la library biblioteca;
la beach playa; el bridge puente; el garden jardín; la tower torre; el castle castillo`;
const COLOURS =
  'red rojo roja; white blanco blanca; black negro negra; yellow amarillo amarilla; purple morado morada; blue azul azul; green verde verde; grey gris gris';
const FEELINGS =
  'happy contento contenta; tired cansado cansada; sad triste triste; cheerful alegre alegre; ready listo lista; alone solo sola';

const rows = (text: string): string[][] =>
  text
    .trim()
    .split(/;\s*/)
    .map((row) => row.split(/\s+/));

const article = (noun: string): string => (/^[aeiou]/.test(noun) ? 'an' : 'a');

function nouns(text: string, el: string): Word[] {
  return rows(text).map(([english = '', spanish = '']) => ({
    id: `pair:${english}`,
    forms: forms({
      el: `${el} ${spanish}`,
      El: `${el === 'el' ? 'El' : 'La'} ${spanish}`,
      un: `${el === 'el' ? 'un' : 'una'} ${spanish}`,
      bare: spanish,
      the: `the ${english}`,
      The: `The ${english}`,
      a: `${article(english)} ${english}`,
      english,
    }),
  }));
}

const creature = /pair:(cat|dog|parrot|rabbit|horse|owl|goat|goose|hen|frog|turtle|pigeon)$/;
const edible = /pair:(bread|cheese|rice|cake|soup|honey|salad|jam)$/;
const masculine = nouns(MASCULINE, 'el');
const feminine = nouns(FEMININE, 'la');
const both = [...masculine, ...feminine];
const thing = (word: Word): boolean => !creature.test(word.id) && !edible.test(word.id);

export const bestias: Word[] = both.filter((word) => creature.test(word.id));
export const bestiasEl: Word[] = masculine.filter((word) => creature.test(word.id));
export const bestiasLa: Word[] = feminine.filter((word) => creature.test(word.id));
export const comidas: Word[] = both.filter((word) => edible.test(word.id));
export const cosas: Word[] = both.filter(thing);
export const cosasEl: Word[] = masculine.filter(thing);
export const cosasLa: Word[] = feminine.filter(thing);

export const lugares: Word[] = rows(PLACES).map(([el = '', english = '', spanish = '']) => ({
  id: `lugar:${english}`,
  forms: forms({
    en: `en ${el} ${spanish}`,
    al: el === 'el' ? `al ${spanish}` : `a la ${spanish}`,
    del: el === 'el' ? `del ${spanish}` : `de la ${spanish}`,
    El: `${el === 'el' ? 'El' : 'La'} ${spanish}`,
    el: `${el} ${spanish}`,
    english,
  }),
}));

export const colores: Word[] = rows(COLOURS).map(([english = '', o = '', a = '']) => ({
  id: `color:${english}`,
  forms: forms({ english, o, a }),
}));
export const animos: Word[] = rows(FEELINGS).map(([english = '', o = '', a = '']) => ({
  id: `animo:${english}`,
  forms: forms({ english, o, a }),
}));
