// What a prompt has to do with the editors in it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dragsIn } from '../../web/lib/host/prompt.js'

const node = (class_type, inputs = {}) => ({ class_type, inputs })
const plain = (map) => Object.fromEntries([...map].map(([id, ids]) => [id, [...ids].join()]).filter(([, ids]) => ids))
const SMALLEST = {
  1: node('LoadImage'),
  2: node('DragEmbeddedModel'),
  3: node('DragEditor', { image: ['1', 0], drag: 'drawn' }),
  4: node('VAEEncode', { pixels: ['1', 0], vae: ['2', 2] }),
  5: node('DragInvert', { model: ['2', 0], latent: ['4', 0] }),
  6: node('DragOptimize', { trajectory: ['5', 3], regions: ['3', 5] }),
  7: node('VAEDecode', { samples: ['6', 0] }),
  8: node('SaveImage', { images: ['7', 0] }),
  9: node('SaveImage', { images: ['1', 0] })
}

test('in the graph of an editor is what uses its drag, and what makes something for that', () => {
  const { down, around, results, drawn } = dragsIn(SMALLEST)
  assert.deepEqual(plain(down), { 3: '3', 6: '3', 7: '3', 8: '3' })
  assert.deepEqual(Object.keys(plain(around)), ['1', '2', '3', '4', '5', '6', '7', '8'])
  assert.deepEqual(plain(results), { 7: '3', 8: '3' })
  assert.deepEqual([...drawn], [['3', 'drawn']])
})

test('the picture of Drag Edit is a result, and that of Drag Finish', () => {
  const { results, crops } = dragsIn({
    3: node('DragEditor'),
    4: node('DragCrop', { regions: ['3', 5] }),
    5: node('DragEdit', { regions: ['3', 5] }),
    6: node('SaveImage', { images: ['5', 0] }),
    7: node('MaskPreview', { mask: ['5', 1] }),
    8: node('DragFinish', { regions: ['4', 1] }),
    9: node('PreviewImage', { images: ['8', 0] }),
    10: node('MaskPreview', { mask: ['8', 2] }),
    11: node('DragPasteBack', { edited: ['8', 0] }),
    12: node('PreviewImage', { images: ['11', 0] })
  })
  assert.deepEqual(plain(results), { 6: '3', 9: '3', 12: '3' })
  assert.deepEqual([...crops], [['8', '4']])
})

test('two editors in a row, a circle and a link to nowhere', () => {
  const { down, around, results } = dragsIn({
    1: node('DragEditor', { image: ['gone', 0] }),
    2: node('DragEdit', { regions: ['1', 5] }),
    3: node('DragEditor', { image: ['2', 0] }),
    4: node('DragEdit', { regions: ['3', 5], model: ['4', 0] }),
    5: node('PreviewImage', { images: ['4', 0] })
  })
  assert.deepEqual(plain(down), { 1: '1', 2: '1', 3: '3,1', 4: '3,1', 5: '3,1' })
  assert.deepEqual(plain(around)[2].split(',').sort(), ['1', '3'])
  assert.deepEqual(plain(results), { 5: '3,1' })
})
