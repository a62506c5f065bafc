// What lies over the picture: a hint for the next step, problems with their fixes, the running model.
import { problems } from '../problems.js'
import { icon, make, pressed, setText } from './dom.js'
import { buildInset } from './inset.js'
import { hasMotion } from './ops.js'
import { isOld, takeBack } from './run.js'
/** @import { Doc, Editor, Problem, Sel } from './types.js' */

const MOST = 4 // chips; half as many where the box is small

/** @param {Editor} ed */
export function buildOverlay(ed) {
  const hint = make('div', { class: 'drg-hint' })
  const chips = make('div', { class: 'drg-chips' })
  const phase = make('span', { class: 'drg-phase' })
  const bar = make('i')
  const percent = make('span', { class: 'drg-number' })
  const stop = make('button', { type: 'button', class: 'drg-pill drg-danger', title: 'Stop the running model', on: { click: () => ed.host.stop?.() } }, icon('stop'), 'Stop')
  const run = make('div', { class: 'drg-run', role: 'group', 'aria-label': 'The model is running' }, phase, make('span', { class: 'drg-bar' }, bar), percent, stop)
  const shown = make('span')
  const back = make('button', { type: 'button', class: 'drg-pill', on: { click: goBack } })
  const badge = make('div', { class: 'drg-badge' }, shown, back)
  const inset = buildInset(ed)
  const empty = make('div', { class: 'drg-empty' })
  const el = make('div', { class: 'drg-overlay' }, empty, hint, badge, run, inset.el, chips)
  let checked = /** @type {Doc | null} */ (null)
  let found = /** @type {Problem[]} */ ([])
  let timer = 0
  let all = false // the user wants to see every problem
  const held = pressed(chips, sync)

  function check() {
    if (ed.off.signal.aborted) return
    found = safeProblems(ed)
    showChips()
  }

  function sync() {
    const { doc, running } = ed
    el.classList.toggle('drg-busy', !!running)
    run.hidden = !running
    if (running) {
      const p = Math.round((running.part ?? 0) * 100)
      bar.style.setProperty('width', running.part === null ? '' : `${p}%`)
      bar.classList.toggle('drg-wait', running.part === null)
      setText(phase, running.phase)
      setText(percent, running.part === null ? '' : `${p} %`)
    }
    syncBadge()
    inset.sync()
    el.classList.toggle('drg-aside', !inset.el.hidden)
    syncEmpty()
    const text = running || ed.showing !== 'edit' ? '' : hintFor(ed)
    setText(hint, text)
    hint.hidden = !text
    hint.classList.toggle('drg-up', low())
    if (checked !== doc && !ed.gesture) {
      checked = doc
      clearTimeout(timer)
      timer = setTimeout(check, 120) // not in the way of the hand
    }
    showChips()
  }

  /** What is shown instead of the drawing. */
  function syncBadge() {
    const old = ed.showing === 'result' && isOld(ed)
    badge.hidden = ed.showing === 'edit'
    badge.classList.toggle('drg-old', old)
    setText(shown, ed.showing === 'preview' ? 'What the model sees' : old ? 'Result of an earlier drawing' : 'Result \u2013 drag to compare, hold \\ for before')
    back.hidden = ed.showing !== 'preview' && !old
    setText(back, old ? 'Take that drawing back' : 'Back to the drawing')
  }

  function goBack() {
    if (ed.showing === 'result') takeBack(ed)
    else ed.showing = 'edit'
    ed.sync()
    ed.focus()
  }

  function showChips() {
    if (!held()) chips.replaceChildren(...listOf())
  }

  /** Whether the region in hand lies where the hint would. */
  function low() {
    const { region } = ed
    if (!region || !ed.view) return false
    const { y, h } = ed.outline(region).box
    return ed.view.toScreen([0, y + h])[1] > ed.view.height - 90 && ed.view.toScreen([0, y])[1] > 90
  }

  function syncEmpty() {
    empty.hidden = !!ed.image || ed.doc.regions.length > 0 || ed.doc.points.length > 0
    if (empty.hidden || empty.childElementCount) return
    empty.append(icon('picture'), make('p', { text: 'Connect a picture, or drop one here' }))
    if (ed.host.getImage) empty.append(make('button', { type: 'button', class: 'drg-pill', text: 'Get the picture', on: { click: () => ed.host.getImage?.() } }))
  }

  function listOf() {
    const out = ed.told.notes.map((text) => make('div', { class: 'drg-chip' }, make('span', { text })))
    if (ed.told.error) out.unshift(make('div', { class: 'drg-chip drg-bad', role: 'alert' }, make('span', { text: ed.told.error })))
    if (ed.showing !== 'edit') return out
    if (ed.error) out.push(make('div', { class: 'drg-chip drg-bad' }, make('span', { text: ed.error })))
    if (ed.note) out.push(make('div', { class: 'drg-chip' }, make('span', { text: ed.note })))
    // the hint says already what the region in hand lacks
    const shown = found.filter((p) => !(p.kind === 'draft' && p.region === ed.regionIndex))
    const most = all ? shown.length : ed.view.height < 480 ? MOST / 2 : MOST
    for (const problem of shown.slice(0, most)) out.push(chipOf(problem))
    const more = shown.length - most
    if (more > 0 || (all && shown.length > MOST / 2)) {
      out.push(make('div', { class: 'drg-chip' }, make('button', { type: 'button', class: 'drg-chip-text', text: more > 0 ? `${more} more` : 'fewer', on: { click: () => {
        all = more > 0
        sync()
        ed.focus()
      } } })))
    }
    return out
  }

  /** @param {Problem} problem */
  function chipOf(problem) {
    /** @type {Sel | null} */
    const target = problem.region !== undefined ? { kind: 'region', index: problem.region } : problem.point !== undefined ? { kind: 'point', index: problem.point } : null
    const show = make('button', { type: 'button', class: 'drg-chip-text', text: problem.text.charAt(0).toUpperCase() + problem.text.slice(1), title: 'Show it', on: { click: () => {
      if (target) ed.select(target)
      ed.focus()
    } } })
    const repair = problem.fix
    const fix = repair
      ? make('button', { type: 'button', class: 'drg-chip-fix', text: problem.hint ?? 'Repair it', on: { click: () => {
          ed.edit(repair(ed.doc))
          ed.sel = ed.valid(ed.sel)
          ed.commit('fix')
          ed.focus()
        } } })
      : null
    return make('div', { class: 'drg-chip drg-warn' }, show, fix)
  }

  return { el, sync }
}

/** @param {Editor} ed */
function safeProblems({ doc, size }) {
  try {
    return problems(doc, size)
  } catch (e) {
    console.error('drag editor: checking the document failed', e)
    return []
  }
}

/** What to do next, in a few words; nothing once the hand has learned it. @param {Editor} ed */
function hintFor(ed) {
  if (ed.gesture || (ed.view && ed.view.height < 230)) return ''
  if (ed.placing) return 'Click where the region shall turn'
  if (ed.draft) return 'Enter or the first corner closes; Backspace takes one back'
  if (ed.paintMask) return 'Paint where the picture may change; Alt takes away'
  if (!ed.image && !ed.doc.regions.length) return ''
  if (ed.tool !== 'select' && ed.tool !== 'pan') return ed.doc.regions.length > 1 ? '' : ed.tools[ed.tool].hint
  if (!ed.doc.regions.length && !ed.doc.points.length) return 'Mark the part that shall move: draw around it (P) or pick it (W)'
  const { region } = ed
  if (region && !hasMotion(region)) return 'Drag it where it shall go; the ring turns it, the corners scale it'
  return ''
}
