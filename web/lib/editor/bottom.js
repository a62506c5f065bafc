// The line below the picture: progress of the motion, what just happened, where the pointer is.
import { iconButton, make, setIcon, setText } from './dom.js'
import { hasMotion } from './ops.js'
/** @import { Editor } from './types.js' */

/** @param {Editor} ed */
export function buildBottom(ed) {
  const play = iconButton('play', 'Play the motion', () => (playing ? stop() : start()))
  const range = make('input', { type: 'range', class: 'drg-range', min: '0', max: '100', value: '100', 'aria-label': 'Progress of the motion, percent' })
  const value = make('span', { class: 'drg-number', text: '100 %' })
  const scrub = make('div', { class: 'drg-scrub' }, play, range, value)
  const status = make('div', { class: 'drg-status', role: 'status', 'aria-live': 'polite' })
  const place = make('div', { class: 'drg-place' })
  const el = make('div', { class: 'drg-bottom' }, scrub, make('div', { class: 'drg-line' }, status, place))
  let playing = 0
  let at = ''

  range.addEventListener('input', () => {
    stop()
    put(Number(range.value) / 100)
  })
  range.addEventListener('change', () => ed.focus())

  /** @param {number} progress */
  function put(progress) {
    ed.scrub = progress
    ed.draw()
  }

  function start() {
    const begin = performance.now()
    const time = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 1400
    const step = () => {
      const s = time ? Math.min((performance.now() - begin) / time, 1) : 1
      put(s * s * (3 - 2 * s)) // starts and ends softly
      playing = s < 1 && ed.el.isConnected ? requestAnimationFrame(step) : 0
      if (!playing) setIcon(play, 'play')
    }
    playing = requestAnimationFrame(step)
    setIcon(play, 'pause')
    ed.focus()
  }

  function stop() {
    cancelAnimationFrame(playing)
    playing = 0
    setIcon(play, 'play')
  }

  return {
    el,
    /** @param {string} text */
    say: (text) => setText(status, text),
    /** @param {number[] | null} p */
    place(p) {
      at = p ? `${Math.round(p[0])}, ${Math.round(p[1])}   ` : ''
      this.frame()
    },
    frame() {
      const zoom = Math.round(ed.view.scale * (globalThis.devicePixelRatio || 1) * 100)
      setText(place, `${at}${ed.view.width > 460 ? `${ed.size.width}\u00d7${ed.size.height}   ` : ''}${zoom} %`)
      const percent = Math.round(ed.scrub * 100)
      setText(value, `${percent} %`)
      if (Number(range.value) !== percent) range.value = String(percent)
      range.style.setProperty('--drg-part', `${percent}%`)
    },
    sync() {
      // always there, so that the picture never moves under the hand
      const still = !ed.doc.regions.some(hasMotion) && !ed.doc.points.length
      scrub.classList.toggle('drg-still', still)
      range.disabled = play.disabled = still
    }
  }
}
