// What shows the results of a drag in the graph that is open, and which drawings they are of.
import { above, graphsOf, locator, typeOf } from './graph.js'
import { carries, edits, showsResults } from './prompt.js'
/** @import { App, GraphNode, Ref } from './types.js' */

const MOST = 100

const nameOf = (/** @type {Ref} */ { filename, subfolder = '', type = '' }) => `${type}/${subfolder}/${filename}`

/** For as long as the page lives: by the file that a run left what was drawn in the editors that it depends on. */
export function keptDrawings() {
  const kept = /** @type {Map<string, Map<string, string>>} */ (new Map())
  return {
    /** @param {Ref} ref @param {Map<string, string>} drawn by the editors' ids in the prompt */
    keep(ref, drawn) {
      kept.delete(nameOf(ref))
      kept.set(nameOf(ref), drawn)
      if (kept.size > MOST) kept.delete(kept.keys().next().value ?? '')
    },
    /** The one of these that came last. @template {{ref: Ref}} T @param {T[]} results @returns {T | undefined} */
    latest(results) {
      const order = [...kept.keys()]
      const age = (/** @type {T} */ { ref }) => order.indexOf(nameOf(ref))
      return results.reduce((/** @type {T | undefined} */ best, x) => (best && age(best) > age(x) ? best : x), undefined)
    },
    /** @param {Ref} ref @param {string[]} ids of one editor, in prompts */
    of(ref, ids) {
      const drawn = kept.get(nameOf(ref))
      return ids.map((id) => drawn?.get(id)).find((text) => text !== undefined) ?? null
    }
  }
}

/**
 * What was shown last of the results of the drag that is drawn in an editor; exact: it must have the picture's size.
 * @param {App} app @param {GraphNode} editor @returns {{ref: Ref, exact: boolean}[]}
 */
export function resultsOf(app, editor) {
  const out = []
  for (const node of graphsOf(app).flatMap((graph) => graph.nodes)) {
    const ref = app.nodeOutputs?.[locator(node)]?.images?.[0]
    if (!ref || !showsResults(typeOf(node))) continue
    const through = [node, ...above(app, node, (from, slot) => !edits(typeOf(from)) || carries(typeOf(from), slot))]
    const drags = through.filter((x) => edits(typeOf(x))).map((x) => above(app, x)).filter((nodes) => nodes.has(editor))
    if (drags.length) out.push({ ref, exact: drags.some((nodes) => [...nodes].some((x) => typeOf(x) === 'DragCrop')) })
  }
  return out
}
