// What the drag may mean, as Drag Intent's model guesses it: a chip for each candidate, its ghost while the hand is on it.
import { arrowKeys, iconButton, make, setText } from './dom.js'
import { meant } from './meant.js'
/** @import { Candidate, Editor, Intent } from './types.js' */

/** @param {Editor} ed */
export function buildIntents(ed) {
  const chips = make('div', { class: 'drg-row drg-wrap', role: 'toolbar', 'aria-label': 'What the drag may mean' })
  const text = make('p', { class: 'drg-meaning', 'aria-live': 'polite' })
  const el = make('div', { class: 'drg-intents' }, chips, text)
  let drawn = /** @type {Intent | null} */ (null)
  arrowKeys(chips, 'ArrowRight', 'ArrowLeft')
  chips.addEventListener('keydown', (e) => {
    if (e.key !== 'Escape') return
    e.stopPropagation()
    ed.focus()
  })

  /** Shows what it would do; nothing is stored. @param {Candidate | null} candidate */
  function look(candidate) {
    ed.trial = candidate && ed.intent ? meant(ed.committed, ed.intent, candidate, (s) => ed.outline(s)) : null
    setText(text, candidate?.prompt ?? asked())
    ed.draw()
  }

  const asked = () => (ed.intent ? `Which is meant${ed.intent.motion ? `: ${ed.intent.motion}` : ''}?` : '')

  /** @param {Candidate} candidate */
  function choose(candidate) {
    if (!ed.intent) return
    ed.trial = null
    ed.edit(meant(ed.committed, ed.intent, candidate, (s) => ed.outline(s)))
    const turned = ed.doc.regions.findIndex((r) => r.task === 'rotation')
    if (turned >= 0 && candidate.task === 'rotation') {
      ed.sel = { kind: 'region', index: turned } // its anchor is a guess: here it can be moved
      ed.setTool('select')
    }
    ed.commit('choose what is meant')
    if (!candidate.task) ed.say('It names no task: choose one in the list of regions (L)')
    ed.focus()
  }

  /** @param {Candidate} candidate @param {number} i */
  function chip(candidate, i) {
    const name = `${i + 1} ${candidate.task ?? 'no task'}`
    const button = make('button', { type: 'button', class: 'drg-pill', text: name, 'aria-label': `${name}: ${candidate.prompt}`, on: { click: () => choose(candidate) } })
    for (const type of ['pointerenter', 'focus']) button.addEventListener(type, () => look(candidate))
    for (const type of ['pointerleave', 'blur']) button.addEventListener(type, () => look(null))
    return button
  }

  function close() {
    ed.intent = ed.trial = null
    ed.sync()
    ed.focus()
  }

  return {
    el,
    sync() {
      el.hidden = !ed.intent || ed.showing !== 'edit'
      if (drawn === ed.intent) return
      drawn = ed.intent
      chips.replaceChildren(...(drawn?.candidates.map(chip) ?? []), iconButton('cross', 'Put the candidates away', close))
      setText(text, asked())
      requestAnimationFrame(() => ed.layout()) // the picture has less room, or more
    },
    /** Marks the chosen one. */
    mark() {
      if (!ed.intent || el.hidden) return
      const { target } = ed.committed.prompts
      ed.intent.candidates.forEach((c, i) => chips.children[i]?.setAttribute('aria-pressed', String(!!target && target.endsWith(c.prompt))))
    }
  }
}
