// The super-pixels of the picture: found once by a worker, kept on the editor, asked for by the wand and the guess.
import { scaledShape } from '../document.js'
import { slic } from '../slic.js'
/** @import { Context, Editor, Region, Segments, Wand } from './types.js' */

const SIDE = 1024 // pixels: larger pictures are cut into pieces at this size
export const GRAINS = [150, 300, 600, 1200, 2400] // pieces

/** The pieces of the picture, found once by a worker. @param {Editor} ed @param {boolean} [quiet] */
export function segment(ed, quiet = false) {
  const { image, size } = ed
  if (ed.off.signal.aborted) return // asked for just before the editor went
  const count = GRAINS[ed.grain]
  if (!image || (ed.wand?.image === image && ed.wand.asked === count)) return
  const k = Math.min(1, SIDE / Math.max(size.width, size.height))
  const width = Math.max(1, Math.round(size.width * k))
  const height = Math.max(1, Math.round(size.height * k))
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const g = /** @type {Context} */ (canvas.getContext('2d', { willReadFrequently: true }))
  g.drawImage(image, 0, 0, width, height)
  const rgba = g.getImageData(0, 0, width, height).data
  ed.worker?.terminate()
  /** @type {Wand} */
  const kept = (ed.wand = { image, asked: count, width, height, labels: null, paths: new Map() })
  const take = (/** @type {Segments} */ found) => {
    if (ed.wand !== kept) return
    Object.assign(kept, found)
    if (quiet) return
    ed.say(`${found.count} pieces: click one, or scribble over several`)
    ed.sync()
  }
  if (!quiet) ed.say('Looking for pieces \u2026')
  try {
    const worker = (ed.worker = new Worker(new URL('../slic_worker.js', import.meta.url), { type: 'module' }))
    worker.onmessage = (/** @type {MessageEvent} */ { data }) => {
      worker.terminate() // the next picture gets its own
      if (data.error) ed.say(data.error)
      else take(data)
    }
    worker.onerror = () => take(slic(rgba, width, height, count)) // no module workers here: on the page, once
    worker.postMessage({ id: 1, rgba, width, height, count })
  } catch {
    take(slic(rgba, width, height, count))
  }
}

/** Finds the pieces while the hand is elsewhere: the editor's guess of the task needs them. @param {Editor} ed */
export function segmentQuietly(ed) {
  try {
    segment(ed, true)
  } catch {
    // pixels that can not be read: the guess does without
  }
}

/**
 * A region in the pixels of the pieces, and the pieces; no pieces while there are none.
 * @param {Editor} ed @param {Region} region @returns {{region: Region, pieces: Segments | null}}
 */
export function piecesFor(ed, region) {
  const { wand, size } = ed
  if (!wand?.labels) return { region, pieces: null }
  return { region: { ...region, ...scaledShape(region, wand.width / size.width, wand.height / size.height) }, pieces: wand }
}

/** Forgets the pieces of a picture. @param {Editor} ed */
export function dropWand(ed) {
  ed.worker?.terminate()
  ed.worker = ed.wand = null
}
