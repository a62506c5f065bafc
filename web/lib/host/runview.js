// A run as one editor shows it.

/** @import { Picture } from '../editor/types.js' */
/** @import { DragEditor, Ref } from './types.js' */

const SAME = 5000 // ms after a refusal in which a run that begins is the rest of it

/**
 * Its progress, its previews, its result.
 * @param {Pick<DragEditor, 'addNotes' | 'say' | 'setIntent' | 'setPreview' | 'setResult' | 'setRun' | 'setTold'>} editor
 * @param {{url: (ref: Ref) => string}} host
 */
export function runView(editor, { url }) {
  let id = /** @type {string | null} */ (null)
  let refused = { text: '', at: 0 }
  let known = false // a result, or that one is on its way
  let cropped = /** @type {number[] | null} */ (null)
  let picture = /** @type {HTMLImageElement | null} */ (null)

  /** The preview of a crop where it lies in the picture. @param {Picture} bitmap */
  function placed(bitmap) {
    if (!cropped) return bitmap
    const [x, y, w, h] = cropped
    if (!picture?.naturalWidth || !w) return null
    const { naturalWidth: width, naturalHeight: height } = picture
    const k = Math.min(1, 1024 / Math.max(width, height))
    const canvas = document.createElement('canvas')
    canvas.width = Math.round(width * k)
    canvas.height = Math.round(height * k)
    const g = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'))
    g.drawImage(picture, 0, 0, canvas.width, canvas.height)
    g.drawImage(bitmap, x * k, y * k, w * k, h * k)
    return canvas
  }

  /** @param {Ref} ref @param {(image: HTMLImageElement) => void} then @param {boolean} exact it must have the picture's size */
  function load(ref, then, exact) {
    const image = new Image()
    image.onload = () => {
      const { naturalWidth: width = 0, naturalHeight: height = 0 } = picture ?? {}
      if (!width) return
      const same = image.naturalWidth === width && image.naturalHeight === height
      const ratio = (image.naturalWidth * height) / (image.naturalHeight * width)
      if (same || (!exact && Math.abs(ratio - 1) <= 0.02)) then(image)
    }
    image.src = url(ref)
  }

  return {
    get id() {
      return id
    },
    /** @param {HTMLImageElement | null} image that the drag is drawn on */
    picture(image) {
      picture = image
    },
    /** @param {string} run it begins */
    begin(run) {
      id = run
      cropped = null
      editor.setTold(performance.now() - refused.at < SAME ? refused.text : '', [])
      editor.setRun({ phase: 'starting', part: null })
    },
    /** @param {string} run @param {string} phase what it does @param {number | null} part how far that is */
    at(run, phase, part) {
      id = run
      editor.setRun({ phase, part })
    },
    /** @param {string} run @param {Picture} bitmap @param {number[] | null} crop where it lies in the picture, if it is a part */
    preview(run, bitmap, crop) {
      if (id !== run) return // it was decoded after its run had ended
      cropped = crop
      const shown = placed(bitmap)
      if (shown) editor.setPreview(shown)
    },
    /**
     * A picture that the finished drag led to.
     * @param {string} run @param {Ref} ref @param {boolean} exact it must have the picture's size @param {string | null} drawn what was drawn when it began
     */
    result(run, ref, exact, drawn) {
      load(ref, (image) => {
        if (id !== null && id !== run) return // the next one runs
        known = true
        editor.setResult(image, drawn)
      }, exact)
    },
    /** A result of before, unless there is one. @param {Ref} ref @param {boolean} exact @param {string | null} drawn */
    restore(ref, exact, drawn) {
      if (known || !picture?.naturalWidth) return
      known = true
      load(ref, (image) => editor.setResult(image, drawn, true), exact)
    },
    /** What the run said. @param {string} error why it failed, or nothing @param {string[]} notes */
    told: (error, notes) => editor.setTold(error, notes),
    /** A prompt was not taken, or only in part: that part runs. @param {string} text why */
    refuse(text) {
      refused = { text, at: performance.now() }
      editor.setTold(text, [])
    },
    /** @param {string[]} notes of one more node */
    note: (notes) => editor.addNotes(notes),
    /** @param {unknown} intent what the drag may mean */
    intent: (intent) => editor.setIntent(intent),
    /** @param {string} run it ended @param {boolean} stopped by the user */
    end(run, stopped) {
      if (id !== run) return
      id = null
      editor.setRun(null)
      if (stopped) editor.say('Stopped')
    }
  }
}
