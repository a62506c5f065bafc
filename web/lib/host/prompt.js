// What the nodes of a prompt have to do with the drag editors in it.

/**
 * @typedef {Record<string, {class_type: string, inputs: Record<string, unknown>}>} Prompt in API format
 * @typedef {Map<string, Set<string>>} Editors the ids of drag editors, by the id of a node
 */

// Our nodes that edit, with the outputs that carry the edited picture.
const EDITS = /** @type {Record<string, number[]>} */ ({ DragOptimize: [0, 1, 2, 3], DragFinish: [0], DragEdit: [0] })

/** @param {string | undefined} type of a node */
export const edits = (type) => !!type && Object.hasOwn(EDITS, type)

/** Whether an output of an edit carries the edited picture. @param {string} type @param {number} slot */
export const carries = (type, slot) => !!EDITS[type]?.includes(slot)

/** Whether what a node of this type shows may be a result: ours show curves and overlays. @param {string} type */
export const showsResults = (type) => !type.startsWith('Drag')

/**
 * down: the editors that a node depends on;
 * around: those in whose graph it is, that is, those too for which it makes something, as a model;
 * results: of a node that shows a result, those whose drag went into it;
 * crops: of a node that edits, the crop that it works on, if it does;
 * drawn: what is drawn in an editor, by its own id.
 * @typedef {{down: Editors, around: Editors, results: Editors, crops: Map<string, string>, drawn: Map<string, string>}} Drags
 * @param {Prompt} prompt @returns {Drags}
 */
export function dragsIn(prompt) {
  const kind = (/** @type {string} */ id) => prompt[id]?.class_type ?? ''
  const ids = Object.keys(prompt)
  const above = new Map(ids.map((id) => [id, ancestors(prompt, id)]))
  const aboveOf = (/** @type {string} */ id) => above.get(id) ?? new Set()
  const isEditor = (/** @type {string} */ id) => kind(id) === 'DragEditor'
  const down = new Map(ids.map((id) => [id, new Set([id, ...aboveOf(id)].filter(isEditor))]))

  const around = /** @type {Editors} */ (new Map(ids.map((id) => [id, new Set(down.get(id))])))
  for (const [id, editors] of down) for (const made of aboveOf(id)) for (const editor of editors) around.get(made)?.add(editor)

  const results = new Map(), crops = new Map(), drawn = new Map()
  for (const id of ids) {
    const crop = edits(kind(id)) && [...aboveOf(id)].find((x) => kind(x) === 'DragCrop')
    if (crop) crops.set(id, crop)
    const { drag } = prompt[id].inputs
    if (isEditor(id) && typeof drag === 'string') drawn.set(id, drag)
    if (!showsResults(kind(id))) continue
    const editors = [...ancestors(prompt, id, carries), id].filter((x) => edits(kind(x))).flatMap((x) => [...(down.get(x) ?? [])])
    if (editors.length) results.set(id, new Set(editors))
  }
  return { down, around, results, crops, drawn }
}

/**
 * The ids of all nodes that `id` depends on.
 * @param {Prompt} prompt @param {string} id @param {(type: string, slot: number) => boolean} [through] given, which outputs of a node that edits count
 * @returns {Set<string>}
 */
function ancestors(prompt, id, through) {
  const out = /** @type {Set<string>} */ (new Set()), open = [id]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const value of Object.values(prompt[next]?.inputs ?? {})) {
      if (!Array.isArray(value) || value.length !== 2 || !prompt[value[0]]) continue
      const from = String(value[0]), type = prompt[from].class_type
      if (out.has(from) || (through && edits(type) && !through(type, value[1]))) continue
      out.add(from)
      open.push(from)
    }
  }
  return out
}
