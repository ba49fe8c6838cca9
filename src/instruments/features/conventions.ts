/** The conventions of a contract as a person meets them: names, choices, and what each choice is called. */
import type { DictionaryInfo } from '../../../workers/api';
import type { Contract } from '../../../workers/dictionary/spec';
import { number } from '../../lab/format';

export interface Convention {
  field: keyof Contract;
  name: string;
  /** Empty: a number. */
  choices: readonly { value: string; label: string }[];
}

const yesNo = (yes: string, no: string) => [
  { value: 'true', label: yes },
  { value: 'false', label: no },
];

/** Those that mean anything for this dictionary. */
export function conventionsOf({ contract, hookIn, hookOut }: DictionaryInfo): Convention[] {
  const [reads = ''] = hookIn;
  const transcoder = reads !== hookOut;
  return [
    {
      field: 'residual',
      name: 'Stream',
      choices: [
        { value: 'raw', label: 'as the model has it' },
        { value: 'centred', label: 'centred' },
      ],
    },
    {
      field: 'normalisation',
      name: 'Normalised',
      choices: [
        { value: 'none', label: 'no' },
        { value: 'layer_norm', label: 'each row, mean 0 and deviation 1' },
        { value: 'scale', label: 'times a number' },
      ],
    },
    ...(contract['normalisation'] === 'scale' ? [{ field: 'scale', name: 'Scale', choices: [] } as const] : []),
    ...(transcoder
      ? []
      : [{ field: 'subtractBDec', name: 'b_dec', choices: yesNo('subtracted before encoding', 'not subtracted') } as const]),
    { field: 'rescaleByDecoderNorm', name: 'Rescaled', choices: yesNo('by ‖W_dec‖ before top-k', 'no') },
    ...(reads.endsWith('hook_z')
      ? [
          {
            field: 'reshape',
            name: 'Heads',
            choices: [
              { value: 'none', label: 'as they are' },
              { value: 'hook_z', label: 'side by side as one vector' },
            ],
          } as const,
        ]
      : []),
    ...(reads.endsWith('hook_normalized')
      ? [{ field: 'normGain', name: 'Norm', choices: yesNo('its gain and bias are read too', 'before its gain') } as const]
      : []),
    { field: 'prependBos', name: 'BOS', choices: yesNo('before its training texts', 'not before its training texts') },
  ];
}

/** A choice as the contract has it. */
export const valueOf = (field: keyof Contract, choice: string): string | boolean =>
  field === 'residual' || field === 'normalisation' || field === 'reshape' ? choice : choice === 'true';

export function said({ choices }: Convention, value: unknown): string {
  return choices.find((each) => each.value === String(value))?.label ?? (typeof value === 'number' ? number(value) : String(value));
}

/** A change in few words, for a button. */
export function named(dictionary: DictionaryInfo, change: Partial<Contract>): string {
  const all = conventionsOf(dictionary);
  return Object.entries(change)
    .flatMap(([field, value]) => {
      // Its number goes with the normalisation, and is 1 with any other.
      if (field === 'scale')
        return change.normalisation === undefined || change.normalisation === 'scale' ? [`scale ${number(Number(value))}`] : [];
      const found = all.find((each) => each.field === field);
      return found ? [`${found.name}: ${said(found, value)}`] : [];
    })
    .join(', ');
}

/** What a check depends on: the dictionary, how it is read, and the model. */
export const keyOf = (dictionary: DictionaryInfo, model: string): string => {
  const { contract } = dictionary;
  const fields = ['residual', 'normalisation', 'scale', 'subtractBDec', 'rescaleByDecoderNorm', 'reshape', 'prependBos', 'normGain'];
  return JSON.stringify([dictionary.id, model, ...fields.map((field) => contract[field] ?? null)]);
};
