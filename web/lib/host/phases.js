// What a node of a running prompt does, in a word or two.

/** @type {[RegExp, string][]} */
const PHASES = [
  [/^DragInvert$/, 'inverting'],
  [/^Drag(Optimize|Edit)$/, 'dragging'],
  [/^DragFinish$/, 'finishing'],
  [/^DragIntent$/, 'guessing what is meant'],
  [/^DragIdentityLoRA$/, 'learning the picture'],
  [/^DragAutoMask$/, 'looking for the part'],
  [/^Drag(DIFT|CorrespondenceGuide)$/, 'comparing features'],
  [/^Drag(Metrics|MLLMScore|Tracks)$/, 'measuring'],
  [/^Drag(Editor|RegionMaskAffine)$/, 'reading the drawing'],
  [/^DragCrop$/, 'cutting out'],
  [/^DragPasteBack$/, 'pasting back'],
  [/^Drag(Load|EmbeddedModel)|Loader|LoadModel/, 'loading the model'],
  [/^LoadImage|^DragExampleScene$/, 'loading the picture'],
  [/Decode/, 'decoding'],
  [/TextEncode/, 'reading the prompt'],
  [/Encode/, 'encoding'],
  [/Upscale|Scale/, 'enlarging'],
  [/Sampler/, 'sampling'],
  [/^Save|Preview/, 'saving']
]

/** @param {string} type of the node @param {boolean} ours it is in the editor's graph */
export function phaseOf(type, ours) {
  if (!ours) return 'another part of the graph runs'
  return PHASES.find(([pattern]) => pattern.test(type))?.[1] ?? `running ${type}`
}
