// A small picture in the corner, while one draws: what the running model has made, or a result that came meanwhile.
import { make, setText } from './dom.js'
import { enlarge, isOld } from './run.js'
/** @import { Context, Editor, Picture } from './types.js' */

const SIDE = 320 // of the canvas, its longer side

/** @param {Editor} ed */
export function buildInset(ed) {
  const canvas = make('canvas', { class: 'drg-small', 'aria-hidden': 'true' })
  const label = make('span')
  const el = make('button', { type: 'button', class: 'drg-inset', title: 'Enlarge', on: { click: () => {
    enlarge(ed)
    ed.focus()
  } } }, canvas, label)
  let drawn = /** @type {Picture | null} */ (null)

  return {
    el,
    sync() {
      if (ed.showing === 'result') ed.unseen = false
      const picture = ed.showing !== 'edit' ? null : ed.preview ?? (ed.unseen ? ed.result : null)
      el.hidden = !picture
      if (!picture) return
      setText(label, ed.preview ? 'What the model sees' : isOld(ed) ? 'Result of an earlier drawing' : 'Result')
      if (drawn !== picture) draw(canvas, (drawn = picture), ed.size)
    }
  }
}

/** @param {HTMLCanvasElement} canvas @param {Picture} picture @param {{width: number, height: number}} size of the whole picture */
function draw(canvas, picture, { width, height }) {
  const k = SIDE / Math.max(width, height)
  const [w, h] = [width, height].map((v) => Math.max(1, Math.round(v * k)))
  if (canvas.width !== w) canvas.width = w
  if (canvas.height !== h) canvas.height = h
  const g = /** @type {Context} */ (canvas.getContext('2d'))
  g.imageSmoothingQuality = 'high'
  g.drawImage(picture, 0, 0, w, h)
}
