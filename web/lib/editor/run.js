// The model that runs beside the hand that draws on: how far it is, what it shows, and the result that it leaves.
import { parse, serialize } from '../document.js'
/** @import { Editor, Picture, Running } from './types.js' */

/** @param {Editor} ed @param {Running | null} running null: the run is over */
export function setRun(ed, running) {
  if (running && !ed.running) {
    ed.showing = 'edit' // a result of before: the button compares on
    ed.unseen = false
  }
  ed.running = running
  if (!running) setPreview(ed, null)
  ed.sync()
}

/** The picture as the running model has it. @param {Editor} ed @param {Picture | null} picture */
export function setPreview(ed, picture) {
  ed.preview = picture
  if (!picture && ed.showing === 'preview') ed.showing = 'edit'
  ed.sync()
}

/**
 * A result is shown at once, unless the hand has gone on drawing: then it waits in the corner.
 * @param {Editor} ed @param {Picture | null} picture @param {string | null} [drawn] the document that it is the result of, if that is known
 * @param {boolean} [quiet] it was shown before: the button compares
 */
export function setResult(ed, picture, drawn = null, quiet = false) {
  ed.result = picture
  ed.resultOf = drawn
  ed.split = 0
  setPreview(ed, null)
  const busy = !!ed.gesture || !!ed.draft || ed.placing || isOld(ed)
  ed.unseen = !!picture && busy && !quiet
  if (!picture) ed.showing = 'edit'
  else if (!quiet && !busy) ed.showing = 'result'
  ed.sync()
  if (quiet || !picture) return
  ed.say(ed.unseen ? 'The result is here, in the corner' : 'The result is here: hold \\ for the picture before, drag to compare')
}

/** Shows what waits in the corner. @param {Editor} ed */
export function enlarge(ed) {
  ed.showing = ed.preview ? 'preview' : 'result'
  ed.sync()
}

/** Whether something else is drawn than what the result is of. @param {Editor} ed */
export const isOld = (ed) => !!ed.result && ed.resultOf !== null && !sameDrawing(ed.resultOf, ed.text)

/** The drawing that the result is of, again: one step. @param {Editor} ed */
export function takeBack(ed) {
  if (ed.resultOf === null) return
  ed.gesture = ed.draft = null
  ed.edit(parse(ed.resultOf).doc)
  ed.fitDocument()
  ed.sel = ed.valid(ed.sel)
  ed.commit('take the drawing of the result back')
  ed.showing = 'result'
  ed.sync()
}

let last = { a: '', b: '', same: true } // asked again and again

/** @param {string} a @param {string} b documents */
function sameDrawing(a, b) {
  if (a === b) return true
  if (last.a !== a || last.b !== b) last = { a, b, same: plainly(a) === plainly(b) }
  return last.same
}

const plainly = (/** @type {string} */ text) => serialize(parse(text).doc)
