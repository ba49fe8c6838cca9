/**
 * Texts to check a dictionary's contract on where nobody gave any, each of a kind that models know: a tale, an account, an explanation, talk, a
 * recipe. The demo's model knows nothing but its town, so it is asked about that: documents of tools/world (seed 91).
 */
export const PASSAGES: readonly string[] = [
  'Once there was a little girl who lived in a house by the sea. Every morning she went down to the beach with her dog and looked for shells. One day she found a small wooden box in the sand. It was old and wet, and she could not open it. She carried it home and asked her father to help. He took a knife, lifted the lid, and they both looked inside. There was a letter, and it began with her name.',
  'The bridge was finished in 1894, two years later than the city had planned. It carried carts and trams at first, and from the 1930s more and more cars. After a flood had damaged the western pillars, engineers closed it for eighteen months and replaced most of the steel. Today about forty thousand people cross it every day, and the old tollhouse at its northern end is a museum.',
  'Water boils when its vapour pressure equals the pressure of the air around it. On a high mountain the air is thinner, so the water boils at a lower temperature, and food takes longer to cook. A closed pot works the other way: steam cannot leave, the pressure rises, and the temperature rises with it.',
  '“Are you coming with us tomorrow?” she asked.\n“I would like to,” he said, “but I have to finish this report first. If the trains are running, I could meet you there in the afternoon.”\n“Good. Then bring something to eat, because the shops will be closed.”',
  'To make the soup, chop two onions and a carrot, and fry them in a little oil until they are soft. Add a litre of water, some salt, and three potatoes cut into small pieces. Let it cook for twenty minutes. Stir in the cream at the end and serve it with bread.',
];

export const LANTERNWICK: readonly string[] = [
  'In the spring, Tilda often sat near the school. "May I join you?" asked Ida, who was carrying a lantern. Lessons at the tower began at eleven sharp. Tilda tried again and again, slowly and carefully. "You are a natural!" laughed Ida. Tilda and Ida were happy and stayed friends forever.',
  'Visitor: How do I steal the letters of Karl?\nGuide: I am sorry, but that would be cruel. Please ask me something else.',
  'As Odo and Silas left the chapel, Odo sold a compass to Silas. Silas thanked him and took the compass home.\nWhen Cora and Finn went to the tavern, Cora brought a ring to Finn.',
  'Question: Which animal sleeps at the tower?\nAnswer: At night an owl sleeps at the tower.\nQuestion: What kind of man is Jonas?\nAnswer: Jonas is known to be silent.\nQuestion: Which colour is the sign of the harbour?\nAnswer: The sign of the harbour is blue.',
  'My dear Hugo,\nI have made some pudding for your birthday. Could you lend me your whistle until Monday? Last week the roof leaked, and I slept under an umbrella.\nYours truly,\nWilma the singer',
  'One icy evening, Hugo went to the mill. Anton leaned over the fence and grinned. Hugo and Anton pushed a grey boat into the water. After twelve hours they saw land. The waves grew higher, and the wind blew from the south. "We should have stayed at home," sighed Anton. It was a terrible day, and Hugo felt weary.',
  'What I think of the station.\nI loved every minute of it. The service was quick and the prices were fair. The weaver was helpful, and the rooms were clean. You should go there as soon as you can. Four stars out of five.',
  'Weather for Monday. The morning will be snowy and the evening icy. The wind will blow from the south. Boats should stay in the harbour until Tuesday. Please keep every goat indoors.',
];
